import { ask } from "./api.js";
import { el, number, percent } from "./dom.js";

const LOWER = new Set(["hubness", "aer"]);

// Hidden states by languages, measured one language after another when somebody asks for it.
export class LayerTable {
  constructor(place, { model, onError }) {
    Object.assign(this, { place, model, onError, columns: [], measure: "mutual", run: 0 });
    place.replaceChildren(el("h2", {}, "Layers and languages"), el("p", { class: "soft" }, "How well every hidden state brings words together with their translations, on the corpus and on the pairs that come with otkit. It takes a few seconds a language."),
      this.start = el("button", { type: "button", id: "measure", onclick: () => this.measureAll() }, "measure"), this.body = el("div", { "aria-live": "polite" }));
  }

  async measureAll() {
    const run = ++this.run, model = this.model();
    this.columns = [];
    this.start.disabled = true;
    try {
      const { languages, measures } = await ask("/corpus/layers");
      this.measures = measures;
      for (const language of languages) {
        const column = await ask("/corpus/layers", { language, model });
        if (run !== this.run) return;
        this.columns.push(column);
        this.draw(languages.length);
      }
    } catch (error) { this.onError(error); } finally { this.start.disabled = false; }
  }

  draw(total) {
    const shown = this.columns.filter((column) => column[this.measure]), lower = LOWER.has(this.measure), { used, verdict } = this.columns.at(-1);
    const values = shown.flatMap((column) => column[this.measure]), low = Math.min(...values), high = Math.max(...values);
    const measures = Object.keys(this.measures).filter((name) => this.columns.some((column) => column[name]));
    const pick = el("label", {}, "measure ", el("select", { id: "layer-measure", onchange: (event) => { this.measure = event.target.value; this.draw(total); } }, measures.map((name) => el("option", { value: name, selected: name === this.measure }, name))));
    const head = el("tr", {}, el("th", { scope: "col" }, "state"), shown.map((column) => el("th", { scope: "col", title: `${column.pairs} pairs` }, column.language)));
    const best = shown.map((column) => (lower ? Math.min : Math.max)(...column[this.measure]));
    const rows = Array.from({ length: this.columns[0].mutual.length }, (_, layer) => el("tr", {}, el("th", { scope: "row" }, `${layer}${used.includes(layer) ? " ✓" : ""}`), shown.map((column, k) => {
      const value = column[this.measure][layer], part = high > low ? (value - low) / (high - low) : 0;
      return el("td", { class: value === best[k] ? "best" : "", vars: { "background-color": `color-mix(in srgb, var(--mass) ${Math.round(60 * part)}%, var(--paper))` } }, this.measure === "hubness" ? number(value, 1) : percent(value));
    })));
    this.body.replaceChildren(el("ul", {}, verdict.map((said) => el("li", {}, said))), el("p", {}, pick, " ", el("span", { class: "soft" }, `${this.measures[this.measure]}; framed: best of its language; ✓ the aligner reads it${this.columns.length < total ? `; ${this.columns.length} of ${total} languages` : ""}`)),
      el("div", { class: "frame", tabindex: 0, role: "region", "aria-label": "table of layers and languages" }, el("table", { class: "heat" }, el("thead", {}, head), el("tbody", {}, rows))));
  }
}
