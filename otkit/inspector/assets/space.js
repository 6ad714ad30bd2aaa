import { el, languageOf, percent } from "./dom.js";

// Words on the two main axes of both clouds; with two models of one width each word's way from the first to the second.
export function showSpace(place, { source, target, models }) {
  const wide = 720, high = 440, pad = 72;
  const every = models.flatMap((model) => [...model.source, ...model.target]);
  const range = [0, 1].map((axis) => [Math.min(...every.map((point) => point[axis])), Math.max(...every.map((point) => point[axis]))]);
  const scale = ([u, v]) => [pad + ((u - range[0][0]) / (range[0][1] - range[0][0] || 1)) * (wide - 2 * pad), high - pad - ((v - range[1][0]) / (range[1][1] - range[1][0] || 1)) * (high - 2 * pad)];
  const last = models[models.length - 1], parts = [];
  parts.push(el("svg:defs", {}, el("svg:marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, el("svg:path", { class: "head", d: "M0 0 8 4 0 8z" }))));
  for (const [i, j, share] of last.links) {
    const [x1, y1] = scale(last.source[i]), [x2, y2] = scale(last.target[j]);
    parts.push(el("svg:line", { class: "link", x1, y1, x2, y2, "stroke-width": 0.5 + 2.5 * share, "stroke-opacity": 0.25 + 0.5 * share }));
  }
  for (const [side, words] of [["source", source], ["target", target]]) words.forEach((word, k) => {
    const [x, y] = scale(last[side][k]);
    if (models.length > 1) { const [x0, y0] = scale(models[0][side][k]); parts.push(el("svg:line", { class: "before", x1: x0, y1: y0, x2: x, y2: y, "marker-end": "url(#arrow)" }, el("svg:title", {}, `${word}: from ${models[0].model} to ${last.model}`)), el("svg:circle", { class: "old", cx: x0, cy: y0, r: 2.5 })); }
    parts.push(side === "source" ? el("svg:circle", { class: side, cx: x, cy: y, r: 5 }) : el("svg:rect", { class: side, x: x - 4.5, y: y - 4.5, width: 9, height: 9 }));
    parts.push(el("svg:text", { x: side === "source" ? x - 7 : x + 7, y: y + 4, "text-anchor": side === "source" ? "end" : "start", lang: languageOf([word], side) }, word));
  });
  const told = models.map((model) => `${model.model}: these axes hold ${percent(model.variance)} of the differences`).join("; ");
  place.replaceChildren(el("h2", {}, "Words in space"), el("p", { class: "soft" }, `Circles are source words, squares target words, lines links (the wider, the stronger)${models.length > 1 ? `; arrows lead from a word's place in ${models[0].model}, a dot, to that in ${last.model}` : ""}. ${told}.`),
    el("svg:svg", { class: "chart", viewBox: `0 0 ${wide} ${high}`, width: wide, role: "img", "aria-label": "words in two dimensions" }, parts));
}
