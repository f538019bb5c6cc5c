// The locator's page: search, answer by clicking tiles, choose a cluster, save.
import { attempt, byId, cells, element, get, post, short } from "./api.js";
import { startChooser } from "./chooser.js";
import { readForm } from "./form.js";
import { watch, work } from "./job.js";
import { TilePanel } from "./tiles.js";

let images = [];
let searched = "";
let panels = [];
let judged = null;
// Answers are sent one after the other, so that the last one shown is the last one given.
let queue = Promise.resolve();

const say = (text) => (byId("says").textContent = text || "\u00a0");

async function load() {
  const state = await get("/locate/state");
  byId("found").hidden = state === null;
  if (state === null) return;
  images = state.images;
  searched = state.paths[0];
  const pictures = await Promise.all(images.map((_, index) => loadPicture(`/locate/picture/${index}?of=${state.number}`)));
  panels = images.map((image, index) => makePanel(image, pictures[index], index));
  layMosaic();
  byId("failures").hidden = !state.failures.length;
  byId("failures").replaceChildren(...state.failures.map((said) => element("li", { textContent: said })));
  byId("ask").open = false;
  sayHow();
  showSaved(state.saved);
  show(state.judged);
}

function loadPicture(address) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => reject(new Error("An image could not be loaded: reload the page."));
    picture.src = address;
  });
}

function makePanel(image, picture, index) {
  const panel = new TilePanel(image, picture, {
    pointed: (tile) => say(tile && panel.describe(tile)),
    clicked: (tile, takeBack) => {
      if (!panel.cluster[panel.at(tile)]) return say(panel.describe(tile));
      const before = panel.answerAt(tile);
      answer(index, tile, takeBack ? null : before === undefined ? true : before ? false : null);
    },
  });
  return panel;
}

function layMosaic() {
  const mosaic = byId("mosaic");
  const placed = images.every((image) => image.place);
  mosaic.classList.toggle("placed", placed);
  mosaic.style.gridTemplateColumns = placed ? `repeat(${1 + Math.max(...images.map((image) => image.place[1]))}, minmax(0, 1fr))` : "";
  mosaic.replaceChildren(
    ...images.map((image, index) => {
      const figure = element("figure", {}, panels[index].canvas, element("figcaption", { textContent: image.name }));
      if (placed) {
        figure.style.gridRow = image.place[0] + 1;
        figure.style.gridColumn = image.place[1] + 1;
      }
      return figure;
    }),
  );
}

function sayHow() {
  const layer = document.querySelector("[name=layer]:checked").value;
  for (const panel of panels) panel.look({ layer, outlines: byId("outlines").checked });
}

function show(now) {
  judged = now;
  const clusters = new Map(
    now.clusters.map((one) => [one.cluster, { ...one, paint: `rgba(${one.colour.join(", ")}, ${one.tint})` }]),
  );
  const here = (list, index) => list.filter((one) => one.image === index);
  panels.forEach((panel, index) =>
    panel.judge({
      tiles: now.tiles[index],
      clusters,
      answers: here(now.answers, index),
      targets: here(now.targets, index),
      question: now.question?.image === index ? now.question : null,
    }),
  );
  byId("n-targets").textContent = now.n_targets;
  byId("targets-word").textContent = now.n_targets === 1 ? "target" : "targets";
  byId("how").textContent = now.found.how;
  byId("message").textContent = now.found.message;
  byId("message").hidden = !now.found.message;
  showQuestion();
  showClusters(clusters);
  showTargets();
}

function showQuestion() {
  const { question, answers } = judged;
  byId("asked-tile").textContent = question ? `Most uncertain tile: ${judged.found.question}` : "All tiles have answers.";
  for (const id of ["yes", "no", "asked-tile"]) byId(id).disabled = !question;
  byId("n-answers").textContent = answers.length ? `${answers.length} answer${answers.length === 1 ? "" : "s"} so far.` : "No answer yet; five are a good start.";
  byId("forget").hidden = !answers.length;
  if (question) panels[question.image].drawAlone(byId("asked"), question);
}

function showClusters(clusters) {
  for (const radio of document.querySelectorAll("[name=clusters]")) radio.checked = Number(radio.value) === judged.n_clusters;
  const focused = document.activeElement?.dataset?.cluster;
  const choice = (name, target, colour, note) => {
    const swatch = element("i");
    if (colour) swatch.style.background = `rgb(${colour.join(", ")})`;
    const button = element("button", { type: "button" }, swatch, element("b", { textContent: name }), element("span", { textContent: note }));
    button.dataset.cluster = target ?? "";
    button.setAttribute("aria-pressed", String(judged.target === target));
    button.addEventListener("click", () => send("/locate/choose", { target }));
    return button;
  };
  byId("clusters").replaceChildren(
    choice("tile by tile", null, null, "by score, or by your answers"),
    ...[...clusters.values()]
      .sort((one, other) => one.cluster - other.cluster)
      .map((one) => {
        const proposed = one.cluster === judged.found.proposed_cluster ? `, proposed (${Math.round(100 * judged.found.confidence)} % sure)` : "";
        return choice(`cluster ${one.cluster}`, one.cluster, one.colour, `${(100 * one.share).toFixed(1)} % of tiles${proposed}`);
      }),
  );
  if (focused !== undefined) byId("clusters").querySelector(`[data-cluster="${focused}"]`)?.focus();
}

function showTargets() {
  const rows = judged.targets.map((target) => {
    const image = images[target.image];
    const button = element("button", { type: "button", className: "link", textContent: image.name });
    button.addEventListener("click", () => flash(target.image));
    const [scale, unit] = image.nm_per_px ? [image.nm_per_px, "nm"] : [1, "px"];
    const extent = `${short(target.height_px * scale)} × ${short(target.width_px * scale)} ${unit}`;
    const place = `${target.row_px.toFixed(0)}, ${target.col_px.toFixed(0)}`;
    const [rank, ...rest] = cells(target.rank, place, extent, target.score.toFixed(2));
    for (const cell of rest) cell.className = "number";
    return element("tr", {}, rank, element("td", {}, button), ...rest);
  });
  byId("targets").replaceChildren(...rows);
  byId("more").hidden = judged.n_targets === rows.length;
  byId("more").textContent = `The best ${rows.length} of ${judged.n_targets}; all of them are saved in targets.csv.`;
}

function flash(image) {
  const { canvas } = panels[image];
  canvas.scrollIntoView({ block: "center", behavior: "smooth" });
  canvas.classList.add("flash");
  setTimeout(() => canvas.classList.remove("flash"), 1200);
}

function send(address, content) {
  queue = queue.then(() => attempt(async () => show(await post(address, content))));
  return queue;
}

async function answer(image, tile, crystal) {
  await send("/locate/answer", { image, row: tile.row, col: tile.col, crystal });
  say(panels[image].describe(tile));
}

function answerQuestion(crystal) {
  if (judged?.question) answer(judged.question.image, judged.question, crystal);
}

function showSaved(where) {
  byId("saved").hidden = !where;
  byId("saved-in").textContent = where ?? "";
}

const ended = () => load();

byId("search").addEventListener("click", () => work("/locate/search", { path: byId("path").value, options: readForm() }, ended));
byId("save").addEventListener("click", () => {
  const asked = { out: byId("out").value, overwrite: byId("overwrite").checked, knowledge: byId("knowledge").value };
  work("/locate/save", asked, async () => showSaved((await get("/locate/state")).saved));
});
byId("yes").addEventListener("click", () => answerQuestion(true));
byId("no").addEventListener("click", () => answerQuestion(false));
byId("forget").addEventListener("click", () => send("/locate/forget"));
byId("asked-tile").addEventListener("click", () => flash(judged.question.image));
byId("outlines").addEventListener("change", sayHow);
window.addEventListener("resize", sayHow);
for (const radio of document.querySelectorAll("[name=layer]")) radio.addEventListener("change", sayHow);
for (const radio of document.querySelectorAll("[name=clusters]")) {
  radio.addEventListener("change", () => send("/locate/choose", { clusters: Number(radio.value) }));
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=text], select")) return;
  const said = { y: true, n: false }[event.key.toLowerCase()];
  if (said !== undefined) answerQuestion(said);
});

await attempt(load);
await startChooser(searched);
await watch(ended);
