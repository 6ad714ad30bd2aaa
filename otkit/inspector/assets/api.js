export class Problem extends Error {}

export { ask } from "./ask.js";

// A file that the browser saves.
export async function save(path, body, name) {
  const response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok) throw new Problem((await response.json()).error);
  const address = URL.createObjectURL(await response.blob()), link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// The last request wins: while one is under way, only the newest waits.
export function latest(work, onError) {
  let running = false, waiting = false;
  return async function run() {
    if (running) { waiting = true; return; }
    running = true;
    do {
      waiting = false;
      try { await work(); } catch (error) { onError(error); }
    } while (waiting);
    running = false;
  };
}
