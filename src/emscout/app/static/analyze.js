// The page of the particles: run, then show one image after the other.
import { attempt, byId, cells, element, get, short } from "./api.js";
import { startChooser } from "./chooser.js";
import { readRun } from "./form.js";
import { watch, work } from "./job.js";
import { mark, showPlaces } from "./pick.js";

const NONE = "–";
let state = null;

async function load() {
  state = await get("/analyze/state");
  byId("found").hidden = state === null;
  if (state === null) return;
  byId("ask").open = false;
  byId("saved-in").textContent = state.out;
  byId("images").replaceChildren(...state.images.map(imageRow));
  const first = state.images.findIndex((image) => image.status !== "failed");
  byId("one").hidden = first < 0;
  if (first >= 0) await choose(first);
}

function imageRow(image, index) {
  const length = (value) => (value === null ? NONE : `${short(value)} ${image.unit}`);
  const failed = image.status === "failed";
  const button = element("button", { type: "button", className: "link", textContent: image.image, disabled: failed });
  button.addEventListener("click", () => attempt(() => choose(index)));
  const numbers = failed
    ? Array(5).fill(NONE)
    : [
        image.count,
        image.count_border,
        length(image.d50),
        image.d10 === null ? NONE : `${length(image.d10)} – ${length(image.d90)}`,
        image.nm_per_px === null ? "uncalibrated" : `${short(image.nm_per_px)} nm`,
      ];
  const made = cells(...numbers);
  for (const cell of made) cell.className = "number";
  return element("tr", {}, element("td", {}, button), ...made, ...cells(image.notes.join(" ")));
}

async function choose(index) {
  const image = state.images[index];
  const found = await get(`/analyze/particles/${index}`);
  [...byId("images").rows].forEach((row, place) => row.classList.toggle("chosen", place === index));
  byId("one-title").textContent = image.image;
  byId("overlay").src = `/analyze/result/overlays/${encodeURIComponent(image.image)}.png?of=${state.number}`;
  byId("columns").replaceChildren(element("tr", {}, ...found.columns.map((name) => element("th", { textContent: spell(name) }))));
  byId("particles").replaceChildren(...found.rows.map(particleRow));
  const line = (name, value) => `${spell(name)}: ${shorten(value) ?? NONE}`;
  const lines = (index) => found.columns.map((name, place) => line(name, found.rows[index][place]));
  showPlaces({ places: found.places, size: found.size, lines }, (place) => {
    markRow(place);
    byId("particles").rows[place].scrollIntoView({ block: "nearest" });
  });
  byId("more").hidden = found.rows.length === found.count;
  byId("more").textContent = `The first ${found.rows.length} of ${found.count}; all of them are in particles.csv.`;
}

// The number of a particle shows where it is.
function particleRow([label, ...measured], index) {
  const button = element("button", { type: "button", className: "link", textContent: label, title: "show in the image" });
  button.addEventListener("click", () => {
    mark(index);
    markRow(index);
    byId("mark").scrollIntoView({ block: "nearest" });
  });
  return element("tr", {}, element("td", { className: "number" }, button), ...cells(...measured.map(shorten)));
}

function markRow(index) {
  [...byId("particles").rows].forEach((row, place) => row.classList.toggle("chosen", place === index));
}

const shorten = (value) => (typeof value === "number" ? Number(value.toPrecision(3)) : value);
const spell = (name) => name.replace(/_(nm2?|px2?)$/, " ($1)").replaceAll("_", " ");

byId("run").addEventListener("click", () => work("/analyze/run", readRun(), load));

await attempt(load);
await startChooser();
await watch(load);
