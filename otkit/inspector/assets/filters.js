import { el, number } from "./dom.js";

const NAMES = { strength: "link strength", unlinked: "words without a link", words: "words", f1: "F1 against gold", check: "check score", changed: "changed", cost: "cost", aer: "AER", precision: "precision", recall: "recall" };
const TEXTS = [["source", "source word"], ["target", "target word"], ["text", "contains"]];
const NUMBERS = [["least_words", "words from"], ["most_words", "words up to"], ["least_strength", "link strength from"], ["most_strength", "link strength up to"], ["least_unlinked", "without a link from"],
  ["least_check", "check score from"], ["least_aer", "AER from", "gold"], ["most_f1", "F1 up to", "gold"], ["least_changed", "changed from", "two"]];
export const KINDS = [["link", "linked"], ["extra", "linked, not in gold", "gold"], ["missed", "missed, sure in gold", "gold"], ["alone", "without a link"]];
const VERDICTS = [["none", "not judged"], ["accepted", "accepted"], ["rejected", "rejected"]];

export const nameOf = (column) => NAMES[column] ?? column;

// What the pairs of a corpus are filtered by: fields, and bars of histograms.
export class Filters {
  constructor(facts, { models, onChange }) {
    Object.assign(this, { onChange, ranges: {} });
    const fits = ([, , needs]) => !needs || (needs === "gold" ? facts.gold : models > 1);
    const input = (type) => ([name, label]) => [name, label, el("input", { id: `filter-${name}`, type, step: "any", min: 0, onchange: onChange })];
    const select = (name, label, options, first) => [name, label, el("select", { id: `filter-${name}`, onchange: onChange }, el("option", { value: "" }, first), options.map(([value, text]) => el("option", { value }, text)))];
    const texts = TEXTS.map(input("text")), numbers = NUMBERS.filter(fits).map(input("number"));
    this.classes = select("class", "flagged by the check", [], "any or none");
    const choices = [select("kind", "these words are", KINDS.filter(fits), "linked with each other"), this.classes, select("verdict", "judged", VERDICTS, "any")];
    this.fields = Object.fromEntries([...texts, ...choices, ...numbers].map(([name, , field]) => [name, field]));
    const labelled = ([, label, field]) => el("label", {}, label, field);
    this.rows = [...[...texts.slice(0, 2), choices[0], texts[2], ...choices.slice(1)].map(labelled), el("details", {}, el("summary", {}, "numbers"), el("div", { class: "filters" }, numbers.map(labelled)))];
    this.chips = el("div", { class: "chips" });
  }

  get asked() {
    const filled = Object.entries(this.fields).filter(([, field]) => field.value !== "").map(([name, field]) => [name, field.type === "number" ? Number(field.value) : field.value]);
    return { ...Object.fromEntries(filled), ...this.ranges };
  }

  set asked(kept) {
    this.ranges = {};
    for (const field of Object.values(this.fields)) field.value = "";
    for (const [name, value] of Object.entries(kept)) {
      if (name === "class" && ![...this.fields.class.options].some((option) => option.value === value)) this.fields.class.append(el("option", { value }, value));
      if (this.fields[name]) this.fields[name].value = value;
      else if (/^(least|below)_/.test(name) && Number.isFinite(value)) this.ranges[name] = value;
    }
    this.showRanges();
  }

  words(source, target, kind) {
    this.asked = { ...Object.fromEntries(Object.entries(this.asked).filter(([name]) => !["source", "target", "kind"].includes(name))), ...(source ? { source } : {}), ...(target ? { target } : {}), ...(kind === "link" ? {} : { kind }) };
    this.onChange();
  }

  range(name, low, high) {
    for (const bound of ["least", "most"]) if (this.fields[`${bound}_${name}`]) this.fields[`${bound}_${name}`].value = "";
    delete this.ranges[`below_${name}`];
    this.ranges[`least_${name}`] = low;
    if (high != null) this.ranges[`below_${name}`] = high;
    this.showRanges();
    this.onChange();
  }

  showRanges() {
    const names = new Set(Object.keys(this.ranges).map((name) => name.replace(/^\w+?_/, "")));
    this.chips.replaceChildren(...[...names].map((name) => {
      const [low, high] = [this.ranges[`least_${name}`], this.ranges[`below_${name}`]];
      return el("button", { type: "button", class: "chip", title: "take this filter away", onclick: () => { delete this.ranges[`least_${name}`]; delete this.ranges[`below_${name}`]; this.showRanges(); this.onChange(); } }, `${nameOf(name)} ${high == null ? `from ${low}` : `${low} to ${high}`} ×`);
    }));
  }

  classesAre(counts) {
    const kept = this.fields.class.value;
    this.fields.class.replaceChildren(el("option", { value: "" }, "any or none"), ...Object.entries(counts).map(([name, count]) => el("option", { value: name }, `${name} (${count})`)));
    if (kept && !counts[kept]) this.fields.class.append(el("option", { value: kept }, kept));
    this.fields.class.value = kept;
  }

  bars(histograms) {
    return Object.entries(histograms).map(([name, { edges, counts }]) => {
      const most = Math.max(...counts, 1), whole = name === "words", shown = (edge) => (whole ? edge : number(edge, 2)), label = nameOf(name);
      const bars = counts.map((count, k) => {
        const high = edges[k + 1], between = `${shown(edges[k])} ${high == null ? "and more" : `to ${shown(high)}`}`;
        const on = this.ranges[`least_${name}`] === edges[k];
        return el("button", { type: "button", "aria-pressed": String(on), vars: { height: `${(56 * count) / most}px` }, title: `${count} pairs with ${label} ${between}: choose to filter`, "aria-label": `${label} ${between}: ${count} pairs`, onclick: () => this.range(name, edges[k], high) });
      });
      return el("figure", { class: "histogram" }, el("figcaption", { class: "soft" }, label), el("div", { class: "bars" }, bars),
        el("div", { class: "ends soft", "aria-hidden": "true" }, el("span", {}, edges[0]), el("span", {}, whole ? `${edges.at(-1)}+` : 1)));
    });
  }
}
