// Work in the background: what is being done, how far it is, and a way to stop it.
import { attempt, byId, get, post, sayError } from "./api.js";

const PAUSE_MS = 250;
let watching = false;

function show(job) {
  const runs = job?.state === "running";
  const own = job?.page === document.body.dataset.page;
  byId("job").hidden = !runs;
  byId("cancel").disabled = false;
  for (const button of document.querySelectorAll("button.main")) button.disabled = runs;
  if (!runs) return;
  const bar = byId("progress");
  if (job.total) bar.value = job.done / job.total;
  else bar.removeAttribute("value");
  const where = own ? "" : "In another tab: ";
  byId("doing").textContent = where + (job.what || (job.total ? "finishing" : "reading the files"));
}

// Follows the job until it ends, then calls ended(job) unless it failed or belongs to another page.
export async function watch(ended) {
  if (watching) return;
  watching = true;
  let seen = false;
  try {
    for (;;) {
      const job = await get("/job");
      show(job);
      if (job?.state !== "running") {
        if (seen && job.page === document.body.dataset.page) {
          sayError(job.error);
          if (job.state === "done") await ended(job);
        }
        return;
      }
      seen = true;
      await new Promise((resume) => setTimeout(resume, PAUSE_MS));
    }
  } catch (error) {
    sayError(error.message);
  } finally {
    watching = false;
  }
}

// Starts a job and follows it; ended(job) is called when it is done.
export function work(address, content, ended) {
  return attempt(async () => {
    const before = await get("/job");
    await post(address, content);
    await watchFrom(before?.number ?? 0, ended);
  });
}

// Short work may be done before it is seen running.
async function watchFrom(number, ended) {
  const job = await get("/job");
  if (job.state === "running") return watch(ended);
  show(job);
  sayError(job.error);
  return job.number > number && job.state === "done" ? ended(job) : undefined;
}

byId("cancel").addEventListener("click", () => {
  byId("cancel").disabled = true;
  byId("doing").textContent = "stopping at the next step";
  attempt(() => post("/job/cancel"));
});
