// What the user has filled in, as the app reads it.

export function readForm() {
  const values = {};
  for (const field of document.querySelectorAll("#options [name]")) {
    values[field.name] = field.dataset.kind === "check" ? field.checked : field.value;
  }
  return values;
}
