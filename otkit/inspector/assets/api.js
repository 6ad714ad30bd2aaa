export class Problem extends Error {}

export { ask } from "./ask.js";

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
