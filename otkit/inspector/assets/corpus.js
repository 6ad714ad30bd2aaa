import { ask } from "./api.js";
import { el, languageOf, number, percent } from "./dom.js";

const SIZE = 25;
const FILTERS = [["source", "source word", "text"], ["target", "is linked with", "text"], ["text", "contains", "text"], ["least_unlinked", "words without a link from", "number"],
  ["most_strength", "link strength up to", "number"], ["least_words", "words from", "number"], ["most_words", "words up to", "number"], ["least_aer", "AER from", "number"]];
const ORDERS = [["worst", "weakest links first"], ["errors", "most errors against gold first"], ["changed", "most changed between the models first"], ["unlinked", "most words without a link first"], ["long", "longest first"], ["best", "strongest links first"], ["file", "as in the file"]];

// Pages of the corpus, of pairs that pass the filters.
export class Corpus {
  constructor(place, facts, { models, onPair, onError }) {
    Object.assign(this, { place, facts, onPair, onError, offset: 0, rows: [], here: null });
    place.hidden = false;
    const asked = () => { this.offset = 0; this.load(); };
    const orders = ORDERS.filter(([name]) => (name !== "errors" || facts.gold) && (name !== "changed" || models > 1));
    this.order = el("select", { id: "order", onchange: asked }, orders.map(([value, name]) => el("option", { value }, name)));
    if (facts.gold) this.order.value = "errors";
    this.fields = Object.fromEntries(FILTERS.filter(([name]) => name !== "least_aer" || facts.gold).map(([name, , type]) => [name, el("input", { id: `filter-${name}`, type, step: "any", min: 0, onchange: asked })]));
    const labels = FILTERS.filter(([name]) => this.fields[name]).map(([name, label]) => el("label", {}, label, this.fields[name]));
    this.count = el("p", { role: "status" });
    this.table = el("tbody");
    this.charts = el("div", { class: "chips" });
    const head = el("tr", {}, el("th", { class: "n", scope: "col" }, "line"), el("th", { scope: "col" }, "source"), el("th", { class: "less", scope: "col" }, "target"), el("th", { class: "n", scope: "col" }, "link strength"), el("th", { class: "n less", scope: "col" }, "without a link"),
      facts.gold ? el("th", { class: "n", scope: "col" }, "AER") : null, models > 1 ? el("th", { class: "n", scope: "col" }, "changed") : null);
    this.columns = ["strength", "unlinked", ...(facts.gold ? ["aer"] : []), ...(models > 1 ? ["changed"] : [])];
    place.replaceChildren(el("h2", {}, `Corpus: ${facts.name}`), this.charts,
      el("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); asked(); } }, el("label", {}, "order", this.order), labels, el("button", {}, "filter"), el("button", { type: "button", onclick: () => { for (const field of Object.values(this.fields)) field.value = ""; asked(); } }, "clear")),
      this.count, el("table", { class: "rows" }, el("thead", {}, head), this.table),
      el("p", {}, el("button", { type: "button", id: "back", onclick: () => this.turn(-SIZE) }, "‹ back"), " ", el("button", { type: "button", id: "on", onclick: () => this.turn(SIZE) }, "on ›")));
  }

  asked() {
    const filters = Object.entries(this.fields).filter(([, field]) => field.value !== "").map(([name, field]) => [name, field.type === "number" ? Number(field.value) : field.value]);
    return { order: this.order.value, offset: this.offset, limit: SIZE, ...Object.fromEntries(filters) };
  }

  turn(step) { this.offset = Math.max(0, this.offset + step); this.load(); }

  async load() {
    try {
      const page = await ask("/corpus", this.asked());
      if (page.error) throw new Error(page.error);
      // Counting all links of a large corpus takes a while: anew when there are a fifth more, and at the end.
      if (!this.overview || (page.done !== this.overview.done && (page.done === page.total || page.done > 1.2 * this.overview.done))) this.overview = await ask("/corpus/overview");
      this.draw(page, this.overview);
      if (page.done < page.total) setTimeout(() => this.load(), 1500);
    } catch (error) { this.onError(error); }
  }

  draw(page, { histograms, word_pairs: pairs }) {
    this.rows = page.rows;
    const last = Math.min(page.matching, this.offset + SIZE);
    this.count.textContent = `${page.matching ? `${this.offset + 1} to ${last} of ` : ""}${page.matching} pairs${page.done < page.total ? `; ${page.done} of ${page.total} are aligned so far` : ""}`;
    this.place.querySelector("#back").disabled = this.offset === 0;
    this.place.querySelector("#on").disabled = last >= page.matching;
    this.table.replaceChildren(...page.rows.map((row) => el("tr", { class: row.id === this.here ? "here" : "", data: { id: row.id } }, el("td", { class: "n" }, row.line),
      el("td", { dir: "auto", lang: languageOf([row.source]) }, el("button", { type: "button", onclick: () => this.open(row) }, row.source)), el("td", { class: "less", dir: "auto", lang: languageOf([row.target]) }, row.target),
      this.columns.map((name) => el("td", { class: name === "unlinked" ? "n less" : "n" }, number(row[name], 2))))));
    const bars = Object.entries(histograms).map(([name, counts]) => {
      const most = Math.max(...counts, 1), label = name === "strength" ? "link strength" : "words without a link";
      const bound = (k) => (name === "strength" ? ["most_strength", (k + 1) / counts.length] : ["least_unlinked", k / counts.length]);
      return el("figure", {}, el("figcaption", { class: "soft" }, `${label}, 0 to 1`), el("div", { class: "bars" }, counts.map((count, k) => el("button", { type: "button", vars: { height: `${(60 * count) / most}px` }, title: `${count} pairs from ${percent(k / counts.length)}: choose to filter`, "aria-label": `${label} from ${percent(k / counts.length)}: ${count} pairs`,
        onclick: () => { const [field, value] = bound(k); this.fields[field].value = value; this.offset = 0; this.load(); } }))));
    });
    const chips = pairs.slice(0, 12).map(([source, target, count]) => el("button", { type: "button", onclick: () => { this.fields.source.value = source; this.fields.target.value = target; this.offset = 0; this.load(); } }, el("bdi", {}, source), " → ", el("bdi", {}, target), ` ${count}`));
    const open = this.charts.querySelector("details")?.open;
    this.charts.replaceChildren(...bars, el("details", { open }, el("summary", {}, "word pairs linked most often"), el("div", { class: "chips" }, chips)));
  }

  open(row) {
    this.here = row.id;
    for (const line of this.table.children) line.classList.toggle("here", Number(line.dataset.id) === row.id);
    this.onPair(row);
  }

  // The next pair in this order, over the end of the page.
  async next() {
    const place = this.rows.findIndex((row) => row.id === this.here);
    if (place + 1 >= this.rows.length && this.rows.length === SIZE) { this.offset += SIZE; await this.load(); if (this.rows.length) this.open(this.rows[0]); return; }
    if (this.rows[place + 1]) this.open(this.rows[place + 1]);
  }
}
