// Pages that run a command and show its report.
import { attempt, byId, get } from "./api.js";
import { startChooser } from "./chooser.js";
import { readRun } from "./form.js";
import { watch, work } from "./job.js";

const page = document.body.dataset.page;

async function load() {
  const state = await get(`/${page}/state`);
  byId("found").hidden = state === null;
  if (state === null) return;
  byId("ask").open = false;
  byId("saved-in").textContent = state.out;
  byId("report").src = `/${page}/result/report.html?of=${state.number}`;
}

byId("run").addEventListener("click", () => work(`/${page}/run`, readRun(), load));

await attempt(load);
await startChooser();
await watch(load);
