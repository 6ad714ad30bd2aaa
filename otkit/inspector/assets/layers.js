import { el, number, percent } from "./dom.js";

// A thumbnail for each hidden state, and the word pairs over all of them.
export function showLayers(place, { layers, used, verdict }, { source, target, links, cell, onLayer }) {
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
  place.replaceChildren(el("h2", {}, "Layers"), el("p", { class: "soft" }, `${verdict}. ✓ marks what is averaged now; the darker a cell, the stronger the link. Choose one to see it alone.`), el("div", { class: "strip" }, strip),
    curve(layers, source, target, links, cell));
}

function curve(layers, source, target, links, cell) {
  const wide = 640, high = 220, left = 44, x = (k) => left + (k * (wide - left - 12)) / Math.max(1, layers.length - 1), y = (share) => high - 40 - share * (high - 56);
  const of = ([i, j]) => layers.map((layer) => layer.share[i][j]);
  const line = (values, name, title) => el("svg:polyline", { class: name, points: values.map((value, k) => `${x(k)},${y(value)}`).join(" ") }, title ? el("svg:title", {}, title) : null);
  const marks = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [el("svg:line", { class: "axis", x1: left, x2: wide - 12, y1: y(share), y2: y(share) }), el("svg:text", { x: 4, y: y(share) + 4 }, percent(share))]);
  const ticks = layers.filter((_, k) => k % Math.ceil(layers.length / 13) === 0).map((layer) => el("svg:text", { x: x(layer.layer) - 4, y: high - 22 }, layer.layer));
  const named = ([i, j]) => `${source[i]} – ${target[j]}`;
  const thin = links.map(([i, j]) => line(of([i, j]), "every", `${named([i, j])}: ${of([i, j]).map((share) => number(share, 2)).join(" ")}`));
  const lines = [...thin, line(layers.map((layer) => layer.mutual), "mutual"), ...(cell ? [line(of(cell), "pair")] : [])];
  const said = `thin: link strength of every linked pair; dashed: words that are each other's nearest; ${cell ? `thick: ${named(cell)}` : "choose a cell of the picture for its own thick line"}`;
  return el("figure", {}, el("figcaption", { class: "soft" }, said),
    el("svg:svg", { class: "chart", viewBox: `0 0 ${wide} ${high}`, width: wide, role: "img", "aria-label": `over the hidden states 0 to ${layers.length - 1}; ${said}${cell ? `: ${of(cell).map((share) => number(share, 2)).join(" ")}` : ""}` },
      marks, ticks, el("svg:text", { x: wide / 2 - 40, y: high - 6 }, "hidden state"), lines));
}
