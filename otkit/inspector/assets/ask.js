import { Problem } from "./api.js";

// What answers the page: this machine's server. A page without one has another file of this name.
export async function ask(path, body = {}) {
  let response;
  try {
    response = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Problem("the server does not answer: was the command stopped?");
  }
  const answer = await response.json();
  if (!response.ok) throw new Problem(answer.error);
  return answer;
}
