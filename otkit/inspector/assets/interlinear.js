import { directionOf, el, languageOf } from "./dom.js";

// Okabe and Ito's colours, which people with any colour vision tell apart; each group has its number too.
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f7fd6", "#7a7a7a"];

// Words that are linked with one another, over as many links as it takes, are one group.
export function groupsOf(source, target, links) {
  const parent = [...Array(source.length + target.length).keys()];
  const root = (x) => (parent[x] === x ? x : (parent[x] = root(parent[x])));
  for (const [i, j] of links) parent[root(source.length + j)] = root(i);
  const names = new Map(), linked = new Set(links.flatMap(([i, j]) => [i, source.length + j]));
  const group = (x) => {
    if (!linked.has(x)) return null;
    const key = root(x);
    if (!names.has(key)) names.set(key, names.size + 1);
    return names.get(key);
  };
  return { source: source.map((_, i) => group(i)), target: target.map((_, j) => group(source.length + j)) };
}

export function interlinear(place, { source, target, links }, { onWord }) {
  const groups = groupsOf(source, target, links), languages = { source: languageOf(source, "source"), target: languageOf(target, "target") };
  const light = (event) => {
    const group = event.type === "mouseleave" || event.type === "blur" ? null : event.currentTarget.dataset.group;
    for (const node of place.querySelectorAll("[data-group]")) node.classList.toggle("lit", group != null && node.dataset.group === group);
  };
  const hooks = { onmouseenter: light, onmouseleave: light, onfocus: light, onblur: light };
  const word = (side, index, words) => el("button", { class: `word${groups[side][index] == null ? " alone" : ""}`, type: "button", dir: "auto", lang: languages[side],
    data: { side, index }, onclick: () => onWord(side, index) }, words[index]);
  const hue = (group) => (group == null ? {} : { "--hue": HUES[(group - 1) % HUES.length] });
  const number = (group) => (group == null ? null : el("sup", { "aria-hidden": "true" }, group));
  const over = source.map((_, i) => {
    const group = groups.source[i], partners = links.filter(([k]) => k === i).map(([, j]) => target[j]);
    return el("div", { class: "over", vars: hue(group), data: group == null ? {} : { group }, ...hooks },
      el("span", {}, word("source", i, source), number(group)), el("span", { class: "below", dir: "auto", lang: languages.target }, partners.join(" ") || "∅"));
  });
  const below = target.map((_, j) => {
    const group = groups.target[j];
    return el("span", { class: "plain", vars: hue(group), data: group == null ? {} : { group }, ...hooks }, word("target", j, target), number(group));
  });
  place.replaceChildren(
    el("p", { class: "soft" }, "Each source word over the target words that it is linked with; words of one group share a number and a colour."),
    el("div", { class: "lines", dir: directionOf(source) }, over),
    el("p", { class: "soft" }, "The target sentence"),
    el("div", { class: "lines", dir: directionOf(target) }, below));
}
