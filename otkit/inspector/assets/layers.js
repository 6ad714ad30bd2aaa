import { el, number, percent } from "./dom.js";

// A thumbnail for each hidden state, and the chosen pair of words over all of them.
export function showLayers(place, { layers, used, verdict }, { source, target, cell, onLayer }) {
  const ink = getComputedStyle(document.body), [dark, paper] = [ink.color, ink.backgroundColor].map((colour) => colour.match(/\d+/g).map(Number));
  const strip = layers.map((layer) => {
    const canvas = el("canvas", { width: target.length, height: source.length, "aria-hidden": "true" });
    const context = canvas.getContext("2d"), image = context.createImageData(target.length, source.length);
    layer.share.flat().forEach((share, k) => {
      for (let c = 0; c < 3; c++) image.data[4 * k + c] = paper[c] + share * (dark[c] - paper[c]);
      image.data[4 * k + 3] = 255;
    });
    context.putImageData(image, 0, 0);
    return el("button", { type: "button", "aria-pressed": used.length === 1 && used[0] === layer.layer ? "true" : "false", data: { layer: layer.layer },
      title: `hidden state ${layer.layer}: ${layer.links.length} links, ${percent(layer.mutual)} each other's nearest`, onclick: () => onLayer(layer.layer) },
      canvas, el("span", {}, `${layer.layer}${used.includes(layer.layer) ? " ✓" : ""}`));
  });
  place.replaceChildren(el("h2", {}, "Layers"), el("p", { class: "soft" }, `${verdict}. ✓ marks what is averaged now; choose one to see it alone.`), el("div", { class: "strip" }, strip),
    curve(layers, source, target, cell));
}

function curve(layers, source, target, cell) {
  const wide = 520, high = 170, left = 44, x = (k) => left + (k * (wide - left - 12)) / Math.max(1, layers.length - 1), y = (share) => high - 28 - share * (high - 44);
  const line = (values, name) => el("svg:polyline", { class: name, points: values.map((value, k) => `${x(k)},${y(value)}`).join(" ") });
  const marks = [0, 0.5, 1].flatMap((share) => [el("svg:line", { class: "axis", x1: left, x2: wide - 12, y1: y(share), y2: y(share) }), el("svg:text", { x: 4, y: y(share) + 4 }, percent(share))]);
  const ticks = layers.filter((_, k) => k % Math.ceil(layers.length / 13) === 0).map((layer) => el("svg:text", { x: x(layer.layer) - 4, y: high - 8 }, layer.layer));
  const named = cell ? `${source[cell[0]]} – ${target[cell[1]]}` : "";
  const lines = [line(layers.map((layer) => layer.mutual), "mutual"), ...(cell ? [line(layers.map((layer) => layer.share[cell[0]][cell[1]]), "pair")] : [])];
  return el("figure", {}, el("figcaption", { class: "soft" }, cell ? `solid: share of mass of ${named}; dashed: words that are each other's nearest` : "dashed: words that are each other's nearest; choose a cell for its own line"),
    el("svg:svg", { class: "chart", viewBox: `0 0 ${wide} ${high}`, width: wide, role: "img", "aria-label": `over the hidden states 0 to ${layers.length - 1}${cell ? `: ${named} ${layers.map((layer) => number(layer.share[cell[0]][cell[1]], 2)).join(" ")}` : ""}` }, marks, ticks, lines));
}
