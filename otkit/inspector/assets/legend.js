import { el } from "./dom.js";

const item = (...parts) => el("li", {}, ...parts);
const scale = (low, high, kind = "") => el("span", { class: "keyed" }, low, el("span", { class: `scale ${kind}`, "aria-hidden": "true" }), high);

// What every mark and colour of the picture means.
export function legendOf({ shape, changed, annotating }) {
  if (shape === "interlinear") return [item("number and coloured edge: words that are linked with each other"), item("∅ and dashed frame: no link"), item("point at a word: its group is framed")];
  const items = changed
    ? [item("difference of link strength ", scale("−100%", "+100%", "both")), item("● link of both"), item("+ link gained"), item("− link lost")]
    : [item("link strength ", scale("0%", "100%")), item(shape === "subwords" ? "● link between subwords" : "● link")];
  if (shape === "matrix") items.push(item("∅ and dashed frame: no link (its title says the probability of no partner)"));
  if (shape === "subwords") items.push(item("thick lines part the words"));
  if (annotating) items.push(item(el("span", { class: "swatch sure" }), "sure by hand"), item(el("span", { class: "swatch possible" }), "possible by hand"), item("keys: arrows, s sure, p possible, x none, u undo, n done and next"));
  return items;
}
