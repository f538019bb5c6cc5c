// One image with its tiles: drawn, pointed at, clicked, walked through with the arrow keys.

const TARGET = "rgb(255, 80, 20)";
const FULL_SCORE = 250;
const LEAST_SIDE_PX = 800;
const LINE_PX = 1.3;
const LETTER_PX = 13;
// Viridis at 0, 1/4 … 1.
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

const unpack = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export class TilePanel {
  // image: what does not change; picture: its <img>, loaded; pointed(tile or null), clicked(tile): row and col.
  constructor(image, picture, { pointed, clicked }) {
    this.image = image;
    this.picture = picture;
    this.nCols = image.cols.length - 1;
    this.nRows = image.rows.length - 1;
    this.cursor = null;
    const factor = Math.max(1, Math.ceil(LEAST_SIDE_PX / Math.max(picture.naturalWidth, picture.naturalHeight)));
    this.canvas = document.createElement("canvas");
    this.canvas.width = picture.naturalWidth * factor;
    this.canvas.height = picture.naturalHeight * factor;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", `Tiles of ${image.name}: arrow keys move, Space answers, Delete removes the answer`);
    // The edges of tiles on the canvas.
    this.x = image.cols.map((edge) => (edge / image.width) * this.canvas.width);
    this.y = image.rows.map((edge) => (edge / image.height) * this.canvas.height);
    this.listen(pointed, clicked);
  }

  listen(pointed, clicked) {
    const point = (tile) => {
      this.cursor = tile;
      this.draw();
      pointed(tile);
    };
    this.canvas.addEventListener("mousemove", (event) => {
      // Browsers tell of moves when it is the page that moved: the arrow keys would lose their tile.
      if (!event.movementX && !event.movementY) return;
      const tile = this.tileAt(event);
      if (tile?.row !== this.cursor?.row || tile?.col !== this.cursor?.col) point(tile);
    });
    this.canvas.addEventListener("mouseleave", () => {
      if (document.activeElement !== this.canvas) point(null);
    });
    this.canvas.addEventListener("blur", () => point(null));
    this.canvas.addEventListener("click", (event) => {
      const tile = this.tileAt(event);
      if (tile) clicked(tile, false);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const from = this.cursor ?? { row: Math.floor(this.nRows / 2), col: Math.floor(this.nCols / 2) };
      if (step) {
        const held = (value, count) => Math.min(Math.max(value, 0), count - 1);
        point({ row: held(from.row + step[0], this.nRows), col: held(from.col + step[1], this.nCols) });
      } else if (event.key === " " || event.key === "Enter") clicked(from, false);
      else if (event.key === "Delete" || event.key === "Backspace") clicked(from, true);
      else return;
      event.preventDefault();
    });
  }

  tileAt(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * this.canvas.width;
    const y = ((event.clientY - frame.top) / frame.height) * this.canvas.height;
    const row = spanOf(this.y, y);
    const col = spanOf(this.x, x);
    return row === null || col === null ? null : { row, col };
  }

  // tiles: packed, of this image; clusters: by number; answers and targets: of this image; question: a tile or null.
  judge({ tiles, clusters, answers, targets, question }) {
    this.cluster = unpack(tiles.cluster);
    this.score = unpack(tiles.score);
    this.target = unpack(tiles.target);
    Object.assign(this, { clusters, answers, targets, question });
    this.draw();
  }

  look({ layer, outlines }) {
    Object.assign(this, { layer, outlines });
    this.draw();
  }

  at(tile) {
    return tile.row * this.nCols + tile.col;
  }

  describe(tile) {
    const address = `${this.image.name}:${tile.row},${tile.col}`;
    const cluster = this.cluster[this.at(tile)];
    if (!cluster) return `${address} · black, not used`;
    const said = this.answerAt(tile);
    const answer = said === undefined ? "" : said ? " · you said: crystal" : " · you said: not crystal";
    const target = this.target[this.at(tile)] ? " · target" : "";
    return `${address} · cluster ${cluster} · score ${(this.score[this.at(tile)] / FULL_SCORE).toFixed(2)}${target}${answer}`;
  }

  answerAt(tile) {
    return this.answers.find((one) => one.row === tile.row && one.col === tile.col)?.crystal;
  }

  draw() {
    if (!this.cluster) return;
    // Lines are as thick on the screen whatever the size of the picture.
    this.line = (LINE_PX * this.canvas.width) / (this.canvas.clientWidth || this.canvas.width);
    const pen = this.canvas.getContext("2d");
    pen.drawImage(this.picture, 0, 0, this.canvas.width, this.canvas.height);
    this.tint(pen);
    if (this.outlines) this.outline(pen);
    for (const answer of this.answers) this.mark(pen, answer, answer.crystal ? "✓" : "✗");
    if (this.question) this.mark(pen, this.question, "?");
    if (this.cursor) this.frame(pen, this.cursor, [["#000", 2 * this.line], ["#fff", this.line]]);
  }

  tint(pen) {
    const hatch = this.layer === "none" ? null : makeHatch(pen, this.line);
    for (let row = 0; row < this.nRows; row++) {
      // Neighbours of one colour are one rectangle, so that a million tiles are few.
      for (let col = 0, first = 0; col < this.nCols; first = ++col) {
        const colour = this.colourOf(row * this.nCols + col, hatch);
        while (col + 1 < this.nCols && this.colourOf(row * this.nCols + col + 1, hatch) === colour) col++;
        if (!colour) continue;
        pen.fillStyle = colour;
        pen.fillRect(this.x[first], this.y[row], this.x[col + 1] - this.x[first], this.y[row + 1] - this.y[row]);
      }
    }
  }

  colourOf(index, hatch) {
    if (this.layer === "none") return null;
    const cluster = this.cluster[index];
    if (!cluster) return hatch;
    if (this.layer === "score") return viridis(this.score[index] / FULL_SCORE);
    return this.clusters.get(cluster).paint;
  }

  outline(pen) {
    const path = new Path2D();
    for (let row = 0; row < this.nRows; row++) {
      for (let col = 0; col < this.nCols; col++) {
        if (!this.target[row * this.nCols + col]) continue;
        const [left, right, top, bottom] = [this.x[col], this.x[col + 1], this.y[row], this.y[row + 1]];
        const free = (r, c) => r < 0 || c < 0 || r >= this.nRows || c >= this.nCols || !this.target[r * this.nCols + c];
        if (free(row - 1, col)) segment(path, left, top, right, top);
        if (free(row + 1, col)) segment(path, left, bottom, right, bottom);
        if (free(row, col - 1)) segment(path, left, top, left, bottom);
        if (free(row, col + 1)) segment(path, right, top, right, bottom);
      }
    }
    pen.lineCap = "square";
    for (const [colour, width] of [["#fff", 2.4 * this.line], [TARGET, 1.4 * this.line]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.stroke(path);
    }
    for (const { rank, row_px: y, col_px: x } of this.targets) {
      const scale = this.canvas.width / this.image.width;
      this.write(pen, rank, (x + 0.5) * scale, (y + 0.5) * scale, this.letter());
    }
  }

  mark(pen, tile, sign) {
    const { left, top, width, height } = this.boxOf(tile);
    if (sign !== "?") {
      pen.fillStyle = sign === "✓" ? "rgba(0, 90, 160, .6)" : "rgba(0, 0, 0, .6)";
      pen.fillRect(left, top, width, height);
    }
    this.frame(pen, tile, [["#000", 3 * this.line], [sign === "?" ? "#ffe14d" : "#fff", 1.6 * this.line]]);
    this.write(pen, sign, left + width / 2, top + height / 2, Math.max(0.7 * Math.min(width, height), 0.8 * this.letter()));
  }

  letter() {
    return (LETTER_PX / LINE_PX) * this.line;
  }

  frame(pen, tile, strokes) {
    const { left, top, width, height } = this.boxOf(tile);
    for (const [colour, thick] of strokes) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.strokeRect(left, top, width, height);
    }
  }

  write(pen, text, x, y, size) {
    pen.font = `700 ${size}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = size / 4;
    pen.strokeStyle = "#000";
    pen.strokeText(text, x, y);
    pen.fillStyle = "#fff";
    pen.fillText(text, x, y);
  }

  boxOf({ row, col }) {
    const [left, top] = [this.x[col], this.y[row]];
    return { left, top, width: this.x[col + 1] - left, height: this.y[row + 1] - top };
  }

  // Draws a tile with its surroundings, framed, into a small square canvas.
  drawAlone(canvas, tile) {
    const pen = canvas.getContext("2d");
    const { left, top, width, height } = this.boxOf(tile);
    const shrink = this.picture.naturalWidth / this.canvas.width;
    const side = 3.4 * Math.max(width, height);
    const from = [left + width / 2 - side / 2, top + height / 2 - side / 2];
    const scale = canvas.width / side;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.setTransform(scale / shrink, 0, 0, scale / shrink, -from[0] * scale, -from[1] * scale);
    pen.drawImage(this.picture, 0, 0);
    pen.setTransform(1, 0, 0, 1, 0, 0);
    for (const [colour, thick] of [["#000", 4], ["#ffe14d", 2]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.strokeRect((left - from[0]) * scale, (top - from[1]) * scale, width * scale, height * scale);
    }
  }
}

function spanOf(edges, value) {
  if (value < edges[0] || value >= edges[edges.length - 1]) return null;
  let [low, high] = [0, edges.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

function segment(path, x0, y0, x1, y1) {
  path.moveTo(x0, y0);
  path.lineTo(x1, y1);
}

function viridis(score) {
  const place = Math.min(score, 1) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const mix = (channel) => Math.round(VIRIDIS[below][channel] * (1 - place + below) + VIRIDIS[below + 1][channel] * (place - below));
  // The stronger the higher: nothing hides what is not crystal.
  return `rgba(${mix(0)}, ${mix(1)}, ${mix(2)}, ${(0.59 * Math.min(0.15 + score, 1)).toFixed(2)})`;
}

function makeHatch(pen, line) {
  const tile = document.createElement("canvas");
  const side = Math.round(4 * line);
  tile.width = tile.height = side;
  const ink = tile.getContext("2d");
  ink.strokeStyle = "rgba(170, 170, 170, .8)";
  ink.lineWidth = line / 2;
  for (const shift of [-side, 0, side]) {
    ink.moveTo(shift, side);
    ink.lineTo(shift + side, 0);
  }
  ink.stroke();
  return pen.createPattern(tile, "repeat");
}
