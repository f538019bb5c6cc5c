// Choosing images by clicking through the folders of this computer, which the app lists.
import { attempt, byId, element, get } from "./api.js";

const box = byId("chooser");
const path = byId("path");
let suggested = "";
let asked = 0;

async function look(where) {
  const number = ++asked;
  const found = await get("/folder?path=" + encodeURIComponent(where));
  // What the user has typed or clicked meanwhile counts.
  if (number !== asked) return;
  path.value = found.path;
  byId("count").textContent = count(found);
  byId("places").replaceChildren(...found.places.map((place) => folder(place.name, place.path)));
  const up = found.parent === null ? [] : [element("li", {}, folder("↑ up", found.parent))];
  byId("folders").replaceChildren(...up, ...found.folders.map((one) => element("li", {}, folder(one.name, one.path))));
  suggest(found);
}

function count(found) {
  if (!found.n_images) return "No images here.";
  const names = found.names.join(", ") + (found.n_images > found.names.length ? " …" : "");
  return `${found.n_images} image file${found.n_images === 1 ? "" : "s"}: ${names}`;
}

function folder(name, where) {
  const button = element("button", { type: "button", className: "link", textContent: name });
  button.addEventListener("click", () => attempt(() => look(where)));
  return button;
}

// Results go beside the images, unless the user has said otherwise.
function suggest(found) {
  const out = byId("out");
  if (document.activeElement === out || (out.value && out.value !== suggested)) return;
  suggested = found.n_images ? `${found.folder.replace(/[/\\]$/, "")}-${box.dataset.suffix}` : "";
  out.value = suggested;
}

byId("look").addEventListener("click", () => attempt(() => look(path.value)));
path.addEventListener("input", () => asked++);
path.addEventListener("keydown", (event) => {
  if (event.key === "Enter") attempt(() => look(path.value));
});

export function startChooser(where = "") {
  return path.value ? undefined : attempt(() => look(where));
}
