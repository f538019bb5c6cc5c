// What the user has filled in, as the app reads it.
import { byId } from "./api.js";

export function readForm() {
  const values = {};
  for (const field of document.querySelectorAll("#options [name]")) {
    values[field.name] = field.dataset.kind === "check" ? field.checked : field.value;
  }
  return values;
}

export function readRun() {
  return { path: byId("path").value, out: byId("out").value, options: readForm(), overwrite: byId("overwrite").checked };
}
