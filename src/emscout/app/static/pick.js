// Which particle is under the mouse, and where in the picture the one of a row is.
import { byId, element } from "./api.js";

// A particle of three pixels can be pointed at too.
const LEAST_REACH_PX = 4;

let shown = null;

// What choosing a particle does beyond marking it is up to the page: chosen(index).
export function showPlaces({ places, size, lines }, chosen) {
  shown = { places, size, lines, chosen };
  byId("tip").hidden = byId("mark").hidden = true;
}

export function mark(index) {
  const [row, col, long, short, angle] = shown.places[index];
  const picture = byId("overlay");
  const unit = 100 / shown.size[1];
  const wide = (percent) => `${percent}%`;
  // The strip with the scale bar makes the picture taller than the image.
  const tall = (percent) => `${(percent * picture.naturalWidth) / picture.naturalHeight}%`;
  const margin = LEAST_REACH_PX / scaleOnScreen();
  Object.assign(byId("mark").style, {
    left: wide((col + 0.5) * unit),
    top: tall((row + 0.5) * unit),
    width: wide((long + 2 * margin) * unit),
    height: tall((short + 2 * margin) * unit),
    transform: `translate(-50%, -50%) rotate(${-angle}deg)`,
  });
  byId("mark").hidden = false;
}

const scaleOnScreen = () => byId("overlay").clientWidth / shown.size[1];

// The particle whose ellipse is nearest, where one is under or beside the mouse.
function particleAt(event) {
  const box = byId("overlay").getBoundingClientRect();
  const scale = scaleOnScreen();
  const [col, row] = [(event.clientX - box.left) / scale - 0.5, (event.clientY - box.top) / scale - 0.5];
  const reach = LEAST_REACH_PX / scale;
  let [best, nearest] = [-1, 1];
  shown.places.forEach(([middle, centre, long, short, degrees], index) => {
    const [down, right, angle] = [row - middle, col - centre, (degrees * Math.PI) / 180];
    const along = right * Math.cos(angle) - down * Math.sin(angle);
    const across = right * Math.sin(angle) + down * Math.cos(angle);
    const away = Math.hypot(along / Math.max(long / 2, reach), across / Math.max(short / 2, reach));
    if (away <= nearest) [best, nearest] = [index, away];
  });
  return best;
}

function follow(event) {
  const index = shown === null ? -1 : particleAt(event);
  const tip = byId("tip");
  tip.hidden = index < 0;
  byId("overlay").classList.toggle("pointed", index >= 0);
  if (index < 0) return;
  tip.replaceChildren(...shown.lines(index).map((line) => element("div", { textContent: line })));
  const box = byId("picture").getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const left = x + 16 + tip.offsetWidth > box.width ? x - 16 - tip.offsetWidth : x + 16;
  Object.assign(tip.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, y - tip.offsetHeight - 8)}px` });
}

byId("overlay").addEventListener("mousemove", follow);
byId("overlay").addEventListener("mouseleave", () => (byId("tip").hidden = true));
byId("overlay").addEventListener("click", (event) => {
  const index = shown === null ? -1 : particleAt(event);
  if (index < 0) return;
  mark(index);
  shown.chosen(index);
});
