import { byId, el, languageOf, percent, setLanguages } from "./dom.js";
import { interlinear, kindsOf } from "./interlinear.js";
import { Matrix } from "./matrix.js";

// A page that stands alone: its data is JSON in #data, and text reaches the document as text alone.
const data = JSON.parse(byId("data").textContent);
setLanguages(data.languages);
const NAMES = { link: "link", sure: "link, sure in gold", possible: "link, possible in gold", missed: "missed, sure in gold", extra: "link not in gold" };
const AXES = ["model", "layer", "transport"], SIDES = ["source", "target"], PAGE = 30;
const list = byId("pairs"), status = byId("status"), slider = byId("threshold");
// `open` holds "pair panel" of each matrix that a reader has opened, `pinned` the pair, side and place of a word.
const state = { threshold: null, choices: [], order: data.order, search: "", shown: [], rendered: 0, pinned: null, open: new Set() };

// ---- what one variant says of one pair, as the live page has it from its server
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const shares = (text) => text && [...bytes(text)].map((share) => share / 100);

function foundOf(pair, variant) {
  const raw = pair.v[variant], [n, m] = [pair.s.length, pair.t.length];
  raw.share ??= (() => { const all = shares(raw.p); return pair.s.map((_, i) => all.slice(i * m, (i + 1) * m)); })();
  raw.compared ??= shares(raw.q ?? raw.p);  // what links are cut at: weighed by lengths and rivals, where the aligner did so
  pair.marks ??= pair.g && new Map([...pair.g.p.map(([i, j]) => [`${i},${j}`, "possible"]), ...pair.g.s.map(([i, j]) => [`${i},${j}`, "sure"])]);
  let links = raw.l.map(([i, j, share]) => [i, j, share / 100]);
  if (state.threshold !== null) links = [...Array(n * m).keys()].map((cell) => [Math.floor(cell / m), cell % m]).map(([i, j]) => [i, j, raw.share[i][j]]).filter(([i, j]) => raw.compared[i * m + j] >= state.threshold);
  return { source: pair.s, target: pair.t, share: raw.share, links, marks: pair.marks, source_no_partner: shares(raw.a), target_no_partner: shares(raw.b), cost: raw.c };
}

function variantOf(choice) {
  for (let kept = AXES.length; kept >= 0; kept -= 1) {
    const found = data.variants.findIndex((variant) => AXES.slice(0, kept).every((axis) => variant[axis] === choice[axis]));
    if (found >= 0) return found;
  }
  return 0;
}

// ---- one pair in one variant
class Panel {
  constructor(article, pair, number) {
    Object.assign(this, { article, pair, number, stale: true });
    this.caption = el("figcaption");
    this.flow = el("div", { class: "flow" });
    this.frame = el("div");
    this.items = el("ul");
    const place = `${pair.n} ${number}`;
    this.details = el("details", { open: state.open.has(place), ontoggle: () => { state.open[this.details.open ? "add" : "delete"](place); if (this.details.open) this.draw(); } },
      el("summary", {}, "Matrix and list of links"), this.frame, this.items);
    this.matrix = new Matrix(this.frame, { onWord: (side, index) => pin(article, side, index), onCell: (i) => pin(article, "source", i), onKey: () => false });
    this.figure = el("figure", { class: "panel" }, this.caption, this.flow, this.details);
    this.figure.panel = this;
    seen.observe(this.figure);
  }

  draw() {
    const { pair } = this, variant = variantOf(state.choices[this.number]), found = foundOf(pair, variant), { settings, ...named } = data.variants[variant];
    this.stale = false;
    this.picture = interlinear(this.flow, found, { onWord: (side, index) => pin(this.article, side, index), onEscape: () => pin(this.article),
      onLight: (side, index) => light(this.article, side, index), onDim: () => dim(this.article) });
    const kinds = [...this.picture.kinds.values()];
    const counts = pair.g ? ["sure", "possible", "missed", "extra"].map((name) => `${kinds.filter((kind) => kind === name).length} ${name}`).join(", ") : "";
    const cost = found.cost === null ? "" : `transport cost ${found.cost.toFixed(3)}`;
    this.caption.replaceChildren([...AXES.map((axis) => named[axis]), cost, counts].filter(Boolean).join(" · "), ...(settings ? [el("br"), `as extracted: ${settings}`] : []));
    if (this.details.open) {
      this.matrix.draw({ ...found, nulls: [found.source_no_partner, found.target_no_partner] });
      const [from, to] = SIDES.map((side) => languageOf(pair[side[0]], side));
      this.items.replaceChildren(...[...kindsOf(found.links, found.marks)].map(([cell, kind]) => { const [i, j] = cell.split(",");
        return el("li", {}, el("bdi", { lang: from }, pair.s[i]), " – ", el("bdi", { lang: to }, pair.t[j]), ` ${percent(found.share[i][j])}, ${NAMES[kind]}`); }));
    }
    mark(this.article);
  }
}

function buildPair(pair) {
  const article = el("article", { class: "pair", "aria-label": `pair ${pair.n}` }, data.pairs.length > 1 ? el("h3", {}, `Pair ${pair.n}`) : null);
  article.pair = pair;
  article.panels = state.choices.map((_, number) => new Panel(article, pair, number));
  article.append(el("div", { class: "panels" }, article.panels.map((panel) => panel.figure)));
  for (const panel of article.panels) panel.draw();
  return article;
}

// A change of the controls redraws what is in sight at once, and the rest when it comes there.
const inSight = new Set();
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    inSight[isIntersecting ? "add" : "delete"](target.panel);
    if (isIntersecting && target.panel.stale) target.panel.draw();
  }
}, { rootMargin: "400px" });

function redraw() {
  for (const article of list.children) for (const panel of article.panels) panel.stale = true;
  for (const panel of inSight) panel.draw();
}

// ---- words that light their partners, in every panel of their pair
function light(article, side, index) {
  for (const { picture } of article.panels) picture.light(side, index);
  const words = article.pair[side[0]];
  status.replaceChildren(el("bdi", { lang: languageOf(words, side) }, words[index]), ": ", ...article.panels.flatMap(({ picture }, k) => [k ? " | " : "", ...picture.said(side, index)]));
}

function dim(article) {
  status.textContent = data.hint;
  for (const { picture } of article.panels) picture.dim();
  const kept = article.panels.find(({ picture }) => picture.lit)?.picture.lit;
  if (kept) light(article, ...kept);
}

function mark(article) {
  const { pinned } = state;
  for (const word of article.querySelectorAll(".word")) {
    const chosen = pinned?.n === article.pair.n && pinned.side === word.dataset.side && pinned.index === Number(word.dataset.index);
    word.classList.toggle("chosen", chosen);
    word.setAttribute("aria-pressed", String(chosen));
  }
}

function pin(article, side, index) {
  const same = state.pinned?.n === article.pair.n && state.pinned.side === side && state.pinned.index === index;
  state.pinned = same || side === undefined ? null : { n: article.pair.n, side, index };
  for (const each of list.children) { mark(each); if (each !== article && each.panels[0].picture.lit) dim(each); }
  if (side === undefined) dim(article);
  else light(article, side, index);
}

// ---- the list: sorted, filtered, built thirty pairs at a time
const cells = (pair, links) => new Set(links.map(([i, j]) => i * pair.t.length + j));
const nullWords = (pair, variant) => SIDES.reduce((sum, side, k) => sum + pair[side[0]].length - new Set(pair.v[variant].l.map((link) => link[k])).size, 0);
const meanMass = (pair, variant) => {
  const best = new Map();
  for (const [i, j, share] of pair.v[variant].l) for (const word of [`s${i}`, `t${j}`]) best.set(word, Math.max(share, best.get(word) ?? 0));
  return [...best.values()].reduce((a, b) => a + b, 0) / (pair.s.length + pair.t.length);
};
const disagreement = (pair, one, two) => {
  const [a, b] = [one, two].map((variant) => cells(pair, pair.v[variant].l)), both = [...a].filter((cell) => b.has(cell)).length, union = a.size + b.size - both;
  return union ? 1 - both / union : 0;
};
const errorRate = (pair, variant) => {
  const [found, sure, possible] = [pair.v[variant].l, pair.g?.s ?? [], pair.g?.p ?? []].map((links) => cells(pair, links));
  const hits = [...found].reduce((sum, cell) => sum + sure.has(cell) + possible.has(cell), 0);
  return pair.g && found.size + sure.size ? 1 - hits / (found.size + sure.size) : 0;
};
const ORDERS = {
  file: (pair) => pair.n,
  error: (pair, one) => -errorRate(pair, one),
  mass: (pair, one) => meanMass(pair, one),
  nulls: (pair, one) => -nullWords(pair, one) / (pair.s.length + pair.t.length),
  cost: (pair, one) => -(pair.v[one].c ?? 0),
  longest: (pair) => -(pair.s.length + pair.t.length),
  disagreement: (pair, one, two) => -disagreement(pair, one, two),
};

function more(count) {
  const end = Math.min(state.shown.length, state.rendered + count);
  list.append(...state.shown.slice(state.rendered, end).map(buildPair));
  state.rendered = end;
  if (byId("count")) byId("count").textContent = `${state.shown.length} of ${data.pairs.length} pairs`;
}

function refresh(keep = 0) {
  const [one, two] = [state.choices[0], state.choices.at(-1)].map(variantOf), wanted = state.search.toLocaleLowerCase();
  state.shown = data.pairs.filter((pair) => !wanted || SIDES.some((side) => pair[side[0]].join(" ").toLocaleLowerCase().includes(wanted)));
  const keys = new Map(state.shown.map((pair) => [pair, ORDERS[state.order](pair, one, two)]));
  state.shown.sort((a, b) => keys.get(a) - keys.get(b));
  seen.disconnect();
  inSight.clear();
  state.rendered = 0;
  list.replaceChildren();
  more(Math.max(PAGE, keep));
  status.textContent = data.hint;
}
new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && state.rendered < state.shown.length) more(PAGE);
}, { rootMargin: "800px" }).observe(byId("end"));

// ---- controls
function setThreshold(percents) {
  state.threshold = percents === null ? null : percents / 100;
  if (percents === null) slider.value = slider.defaultValue;
  byId("threshold-value").textContent = percents === null ? "as extracted" : `${percents}%`;
  redraw();
}
slider.addEventListener("input", () => setThreshold(Number(slider.value)));
byId("extracted").addEventListener("click", () => setThreshold(null));

function buildChoices() {
  const chosen = () => { buildChoices(); refresh(state.rendered); };
  const several = state.choices.length > 1;
  const select = (choice, axis, values, name) => el("label", {}, name, el("select", { onchange: (event) => { choice[axis] = event.target.value; Object.assign(choice, data.variants[variantOf(choice)]); chosen(); } },
    values.map((value) => el("option", { value, selected: value === choice[axis] }, value))));
  const boxes = state.choices.flatMap((choice, number) => AXES.map((axis) => [axis, [...new Set(data.variants.map((variant) => variant[axis]))]])
    .filter(([, values]) => values.length > 1).map(([axis, values]) => select(choice, axis, values, several ? `${axis} ${number + 1}` : axis)));
  const both = el("input", { type: "checkbox", checked: several, onchange: () => { state.choices = several ? state.choices.slice(0, 1) : [state.choices[0], { ...data.variants[data.second] }]; chosen(); } });
  byId("choices").replaceChildren(...boxes, ...(data.variants.length > 1 ? [el("label", {}, both, "side by side")] : []));
}

byId("order")?.addEventListener("change", (event) => { state.order = event.target.value; refresh(); });
byId("search")?.addEventListener("input", (event) => { state.search = event.target.value; refresh(); });

if (data.pairs.length === 1) state.open = new Set([0, 1].map((number) => `${data.pairs[0].n} ${number}`));
state.choices = [{ ...data.variants[0] }];
if (new Set(data.variants.map((variant) => variant.model)).size > 1) state.choices.push({ ...data.variants[data.second] });
buildChoices();
refresh();
document.documentElement.dataset.ready = "1";
