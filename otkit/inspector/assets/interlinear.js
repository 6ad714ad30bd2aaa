import { directionOf, el, languageOf, percent } from "./dom.js";

// Okabe and Ito's colours, which people with any colour vision tell apart; each group has its number too.
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f7fd6", "#7a7a7a"];
const MARKS = { link: "", sure: "", possible: "○ ", missed: "× ", extra: "+ " };

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

// What each marked cell is, "i,j" to a kind: a link, or with gold one that is sure, possible, extra (not in gold) or missed.
export function kindsOf(links, gold) {
  const kinds = new Map(links.map(([i, j]) => [`${i},${j}`, gold ? (gold.get(`${i},${j}`) ?? "extra") : "link"]));
  for (const [cell, kind] of gold ?? []) if (kind === "sure" && !kinds.has(cell)) kinds.set(cell, "missed");
  return kinds;
}

// Sentences that both fit into a line are drawn with all their links between them; longer ones as words over words.
const pictures = new WeakMap();
const widths = new ResizeObserver((entries) => {
  const moved = entries.map((entry) => pictures.get(entry.target)).filter((picture) => picture.root.isConnected && picture.place.clientWidth !== picture.width);
  for (const picture of moved) { picture.width = picture.place.clientWidth; picture.root.classList.add("short"); }
  const short = moved.map((picture) => picture.inLines());
  moved.forEach((picture, k) => picture.root.classList.toggle("short", short[k]));
  for (const picture of moved) picture.arcs();
});

// Draws into the place; the same words are redrawn as they stand, so that what is focused, chosen and scrolled to stays.
export function interlinear(place, found, hooks) {
  let picture = pictures.get(place);
  if (!picture?.root.isConnected || picture.key !== JSON.stringify([found.source, found.target])) pictures.set(place, (picture = new Interlinear(place, found, hooks)));
  picture.draw(found);
  return picture;
}

class Interlinear {
  constructor(place, { source, target }, { onWord, onLight = (side, index) => this.light(side, index), onDim = () => this.dim(), onEscape = () => {} }) {
    Object.assign(this, { place, key: JSON.stringify([source, target]), onLight, onDim, words: { source, target }, boxes: {}, drawn: {}, width: 0 });
    for (const side of ["source", "target"]) {
      this.drawn[side] = [];
      this.boxes[side] = this.words[side].map((word, index) => el("li", { class: side === "source" ? "over" : "plain" }, el("button", { class: "word", type: "button", dir: "auto",
        lang: languageOf(this.words[side], side), tabindex: index ? -1 : 0, "aria-pressed": "false", data: { side, index } }, word), el("sup", { "aria-hidden": "true" })));
    }
    for (const box of this.boxes.source) box.append(el("span", { class: "below", dir: directionOf(target), lang: languageOf(target, "target") }));
    this.lines = Object.fromEntries(Object.entries(this.boxes).map(([side, boxes]) => [side, el("ol", { class: "lines", dir: directionOf(this.words[side]), "aria-label": `${side} words` }, boxes)]));
    this.svg = el("svg:svg", { class: "arcs", "aria-hidden": "true" });
    this.root = el("div", { class: "interlinear" }, el("p", { class: "soft" }, "Each source word over the target words that it is linked with; words of one group share a number and a colour."),
      this.lines.source, el("p", { class: "soft" }, "The target sentence"), this.lines.target, this.svg);
    const of = (event) => event.target.closest(".word");
    const on = (names, act) => { for (const name of names) this.root.addEventListener(name, (event) => { const word = of(event); if (word) act(word, event); }); };
    on(["mouseover", "focusin"], (word) => this.onLight(word.dataset.side, Number(word.dataset.index)));
    on(["mouseout", "focusout"], () => this.onDim());
    on(["click"], (word) => { this.roam(word); onWord(word.dataset.side, Number(word.dataset.index)); });
    on(["keydown"], (word, event) => { if (event.key === "Escape") onEscape(); else this.pressed(word, event); });
    place.replaceChildren(this.root);
    widths.unobserve(place); // so that what is new is measured, too
    widths.observe(place);
  }

  word(side, index) { return this.boxes[side][index].firstChild; }

  draw(found) {
    const { source, target } = this.words, groups = groupsOf(source, target, found.links);
    this.found = found;
    this.kinds = kindsOf(found.links, found.marks);
    const cells = [...this.kinds].map(([cell, kind]) => [...cell.split(",").map(Number), kind]).sort((one, two) => one[0] - two[0] || one[1] - two[1]);
    const below = source.map(() => []);
    for (const [i, j, kind] of cells) below[i].push([j, kind]);
    for (const side of ["source", "target"]) {
      this.boxes[side].forEach((box, index) => {
        const group = groups[side][index], alone = found[`${side}_no_partner`]?.[index], said = `${group} ${alone} ${side === "source" ? below[index] : ""}`;
        if (this.drawn[side][index] === said) return;
        this.drawn[side][index] = said;
        box.dataset.group = group ?? "";
        box.style.setProperty("--hue", group == null ? "transparent" : HUES[(group - 1) % HUES.length]);
        box.firstChild.classList.toggle("alone", group == null);
        box.firstChild.title = group == null && alone != null ? `probability of no partner: ${percent(alone)}` : "";
        box.children[1].textContent = group ?? "";
        if (side === "source") box.lastChild.replaceChildren(...(below[index].length ? below[index].flatMap(([j, kind], k) => [k ? " " : "", el("bdi", { class: `kind-${kind}` }, MARKS[kind] + target[j])]) : ["∅"]));
      });
    }
    if (this.lit) this.light(...this.lit);
    else this.arcs();
  }

  // The words of a group are framed, and how much each word of the other side has with this one is its colour.
  light(side, index) {
    this.dim(false);
    this.lit = [side, index];
    const group = this.boxes[side][index].dataset.group, other = side === "source" ? "target" : "source";
    this.boxes[other].forEach((box, k) => box.firstChild.style.setProperty("--share", (side === "source" ? this.found.share[index][k] : this.found.share[k][index]).toFixed(2)));
    this.word(side, index).classList.add("lit");
    if (group) for (const boxes of Object.values(this.boxes)) for (const box of boxes) if (box.dataset.group === group) box.firstChild.classList.add("lit");
    this.arcs();
  }

  // A word that is chosen stays lit.
  dim(all = true) {
    this.lit = null;
    for (const word of this.root.querySelectorAll(".word")) { word.classList.remove("lit"); word.style.removeProperty("--share"); }
    if (!all) return;
    const kept = this.root.querySelector(".word.chosen") ?? this.root.querySelector(".word:focus");
    if (kept) this.light(kept.dataset.side, Number(kept.dataset.index));
    else this.arcs();
  }

  // What a word has with the best of the other side, in words: text and elements.
  said(side, index) {
    const { share } = this.found, across = side === "source" ? "target" : "source", other = this.words[across], lang = languageOf(other, across);
    const shares = other.map((_, k) => (side === "source" ? share[index][k] : share[k][index]));
    const parts = [...other.keys()].filter((k) => shares[k] >= 0.01).sort((one, two) => shares[two] - shares[one]).slice(0, 4).map((k) => [el("bdi", { lang }, other[k]), ` ${percent(shares[k])}`]);
    const alone = this.found[`${side}_no_partner`]?.[index];
    if (this.boxes[side][index].dataset.group === "") parts.push([alone == null ? "no partner" : `no partner (${percent(alone)})`]);
    return parts.length ? parts.flatMap((part, k) => [k ? ", " : "", ...part]) : ["no mass"];
  }

  inLines() { return Object.values(this.boxes).every((boxes) => boxes[0].offsetTop === boxes.at(-1).offsetTop); }

  arcs() {
    if (!this.width) return;
    const short = this.root.classList.contains("short"), at = this.lit && this.lit[0] === "source" ? 0 : 1;
    const origin = this.root.getBoundingClientRect(), own = ([i, j]) => this.lit != null && [i, j][at] === this.lit[1];
    const cells = [...this.kinds].map(([cell, kind]) => [...cell.split(",").map(Number), kind]).filter((cell) => short || own(cell));
    this.svg.replaceChildren(...cells.map(([i, j, kind]) => {
      const from = this.boxes.source[i].getBoundingClientRect(), to = this.boxes.target[j].getBoundingClientRect();
      const x = [from, to].map((box) => box.left + box.width / 2 - origin.left), y = [from.bottom - origin.top, to.top - origin.top], bend = (y[1] - y[0]) / 2;
      return el("svg:path", { class: `kind-${kind}${own([i, j]) ? " on" : ""}`, d: `M${x[0]} ${y[0]}C${x[0]} ${y[0] + bend} ${x[1]} ${y[1] - bend} ${x[1]} ${y[1]}` });
    }));
    this.svg.classList.toggle("some", this.lit != null);
  }

  roam(word) {
    for (const box of this.boxes[word.dataset.side]) box.firstChild.tabIndex = -1;
    word.tabIndex = 0;
  }

  pressed(word, event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { side } = word.dataset, boxes = this.boxes[side], index = Number(word.dataset.index), ahead = this.lines[side].dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const middle = (node) => { const box = node.getBoundingClientRect(); return box.left + box.width / 2; };
    const nearest = (other) => (side === other ? null : this.boxes[other].reduce((best, box) => (Math.abs(middle(box) - middle(word)) < Math.abs(middle(best) - middle(word)) ? box : best)));
    const steps = { ArrowLeft: () => boxes[index + (ahead === "ArrowLeft" ? 1 : -1)], ArrowRight: () => boxes[index + (ahead === "ArrowRight" ? 1 : -1)],
      Home: () => boxes[0], End: () => boxes.at(-1), ArrowUp: () => nearest("source"), ArrowDown: () => nearest("target") };
    if (!steps[event.key]) return;
    event.preventDefault();
    const next = steps[event.key]()?.firstChild;
    if (next) { this.roam(next); next.focus(); }
  }
}
