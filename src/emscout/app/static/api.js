// Talking to the app: every failure is a sentence, shown in one place.

export const byId = (id) => document.getElementById(id);

export async function get(address) {
  return answer(await reach(address));
}

export async function post(address, content = {}) {
  return answer(
    await reach(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
    }),
  );
}

async function reach(address, asked) {
  try {
    return await fetch(address, asked);
  } catch {
    throw new Error("emscout does not respond: check that it is still running in the terminal.");
  }
}

async function answer(response) {
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let said = text;
  try {
    said = JSON.parse(text).error;
  } catch {
    // Plain text is a sentence already.
  }
  throw new Error(said);
}

export function sayError(said) {
  const place = byId("error");
  place.textContent = said;
  place.hidden = !said;
  if (said) place.scrollIntoView({ block: "nearest" });
}

// Runs what a click asks for, and shows why it failed.
export async function attempt(work) {
  try {
    sayError("");
    return await work();
  } catch (error) {
    sayError(error.message);
    return undefined;
  }
}

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function cells(...values) {
  return values.map((value) => element("td", { textContent: value ?? "", className: typeof value === "string" ? "" : "number" }));
}

// Three significant digits, without an exponent.
export function short(value) {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
