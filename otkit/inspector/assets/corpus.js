import { ask, save } from "./api.js";
import { el, languageOf, number } from "./dom.js";
import { Filters, KINDS, nameOf } from "./filters.js";

const SIZE = 25;
const ORDERS = [["worst", "weakest links first"], ["errors", "most errors against gold first (AER)", "gold"], ["f1", "lowest F1 against gold first", "gold"], ["check", "highest check score first"], ["changed", "most changed between the models first", "two"],
  ["unlinked", "most words without a link first"], ["cost", "highest cost first"], ["long", "longest first"], ["best", "strongest links first"], ["file", "as in the file"]];
const COLUMNS = [["strength", "less"], ["unlinked", "least"], ["precision", "least", "gold"], ["recall", "least", "gold"], ["f1", "less", "gold"], ["aer", "", "gold"], ["changed", "", "two"], ["check", "less"]];

// Pages of the corpus, of pairs that pass the filters; each can be opened, accepted and rejected.
export class Corpus {
  constructor(place, facts, { models, judged, by, onPair, onShown, onError }) {
    Object.assign(this, { place, facts, judged, by, onPair, onShown, onError, offset: 0, rows: [], here: null, kind: "link" });
    place.hidden = false;
    const fits = (needs) => !needs || (needs === "gold" ? facts.gold : models > 1);
    const asked = () => { this.offset = 0; this.load(); };
    this.filters = new Filters(facts, { models, onChange: asked });
    this.order = el("select", { id: "order", onchange: asked }, ORDERS.filter(([, , needs]) => fits(needs)).map(([value, name]) => el("option", { value }, name)));
    if (facts.gold) this.order.value = "errors";
    this.columns = COLUMNS.filter(([, , needs]) => fits(needs));
    this.count = el("p", { role: "status" });
    this.table = el("tbody", { onkeydown: (event) => this.pressed(event) });
    this.charts = el("div", { class: "histograms" });
    this.words = el("div", { class: "chips" });
    const head = el("tr", {}, el("th", { class: "verdict", scope: "col" }, "verdict"), el("th", { class: "n line", scope: "col" }, "line"), el("th", { scope: "col" }, "source"), el("th", { class: "less", scope: "col" }, "target"),
      this.columns.map(([name, less]) => el("th", { class: `n ${less}`, scope: "col" }, nameOf(name).replace(" against gold", ""))));
    const kinds = el("select", { id: "kind", onchange: (event) => { this.kind = event.target.value; this.wordPairs(); } }, KINDS.filter(([, , needs]) => fits(needs)).map(([value, name]) => el("option", { value }, name)));
    place.replaceChildren(el("h2", {}, `Corpus: ${facts.name}`), this.charts,
      el("details", { id: "word-pairs", ontoggle: () => this.wordPairs() }, el("summary", {}, "words that are most often"), el("p", {}, el("label", {}, "words ", kinds)), this.words),
      el("form", { class: "filters", onsubmit: (event) => { event.preventDefault(); asked(); } }, el("label", {}, "order", this.order), this.filters.rows, el("button", {}, "filter"), el("button", { type: "button", onclick: () => { this.filters.asked = {}; asked(); } }, "clear"),
        el("button", { type: "button", id: "csv", title: "all pairs that pass the filters, in this order", onclick: () => this.csv() }, "save as CSV")),
      this.filters.chips, this.count, el("table", { class: "rows" }, el("thead", {}, head), this.table),
      el("p", { class: "pages" }, el("button", { type: "button", id: "back", onclick: () => this.turn(-SIZE) }, "‹ back"), " ", el("button", { type: "button", id: "on", onclick: () => this.turn(SIZE) }, "on ›"),
        el("span", { class: "soft" }, judged ? " keys in the table: a accept, r reject; both are saved at once" : " open the inspector with an output folder to accept and reject pairs")));
  }

  get view() { return { order: this.order.value, offset: this.offset, here: this.here, ...this.filters.asked }; }

  set view({ order, offset, here, ...filters }) {
    if (ORDERS.some(([name]) => name === order)) this.order.value = order;
    Object.assign(this, { offset: offset ?? 0, here: here ?? null });
    this.filters.asked = filters;
  }

  turn(step) { this.offset = Math.max(0, this.offset + step); this.load(); }

  // Rows that a person looks at stay where they are while more pairs come in: a `watch` redraws them only if they are the
  // same, or are not a page yet. Answers may overtake each other: what answers an earlier question is left aside.
  async load(watch = false) {
    try {
      const question = () => JSON.stringify([this.order.value, this.offset, this.filters.asked]), asking = question();
      const asked = this.filters.asked, page = await ask("/corpus", { order: this.order.value, offset: this.offset, limit: SIZE, ...asked });
      if (question() !== asking) return;
      if (page.error) throw new Error(page.error);
      const same = page.rows.map((row) => row.id).join() === this.rows.map((row) => row.id).join();
      if (!watch || same || this.rows.length < SIZE) { this.draw(page); this.onShown(); } else this.say(page, "; choose filter to sort them in");
      // Counting all of a large corpus takes a while: anew for other filters, when there is a fifth more, and at the end.
      const key = JSON.stringify(asked), seen = this.overview;
      const grown = seen && ["done", "checked"].some((name) => page[name] !== seen[name] && (page[name] === page.total || page[name] > 1.2 * seen[name]));
      if (!seen || seen.key !== key || grown) {
        const overview = await ask("/corpus/overview", asked);
        if (question() !== asking) return;
        this.overview = { ...overview, key };
        this.figures();
      }
      if (page.checked < page.total) { clearTimeout(this.later); this.later = setTimeout(() => this.load(true), 2000); }
      if (!this.pairs) await this.wordPairs();
    } catch (error) { this.onError(error); }
  }

  figures() {
    const { histograms, verdicts, classes } = this.overview;
    this.charts.replaceChildren(...this.filters.bars(histograms));
    this.filters.classesAre(classes);
    this.verdicts(verdicts);
  }

  verdicts(counts) { this.tally = ["accepted", "rejected"].filter((name) => counts[name]).map((name) => `; ${counts[name]} ${name}`).join(""); this.counted(); }

  counted() { this.count.textContent = (this.found ?? "") + (this.tally ?? ""); }

  draw(page) {
    this.rows = page.rows;
    this.say(page);
    const focus = document.activeElement?.closest?.("#corpus tr[data-id]") ? [document.activeElement.closest("tr").dataset.id, document.activeElement.dataset.what] : null;
    this.table.replaceChildren(...page.rows.map((row) => this.row(row)));
    if (focus) this.table.querySelector(`tr[data-id="${focus[0]}"] [data-what="${focus[1]}"]`)?.focus();
  }

  say(page, more = "") {
    const last = Math.min(page.matching, this.offset + SIZE), far = (name, done) => (done < page.total ? `; ${done} of ${page.total} are ${name} so far` : "");
    this.found = `${page.matching ? `${this.offset + 1} to ${last} of ` : ""}${page.matching} pairs${far("aligned", page.done)}${page.done === page.total ? far("checked", page.checked) : ""}${more}`;
    this.counted();
    this.place.querySelector("#back").disabled = this.offset === 0;
    this.place.querySelector("#on").disabled = last >= page.matching;
  }

  row(row) {
    const judge = (verdict, sign, name) => el("button", { type: "button", disabled: !this.judged, "aria-pressed": String(row.verdict === verdict), "aria-label": `${name} line ${row.line}`, title: name, data: { what: verdict }, onclick: () => this.judge(row, verdict) }, sign);
    const cell = ([name, less]) => el("td", { class: `n ${less}` }, number(row[name], 2), name === "check" && row.check != null ? el("span", { class: "soft", title: row.what || row.class }, ` ${row.class}`) : null);
    return el("tr", { class: `${row.id === this.here ? "here" : ""} ${row.verdict}`, data: { id: row.id } }, el("td", { class: "verdict" }, judge("accepted", "✓", "accept"), judge("rejected", "✗", "reject")), el("td", { class: "n line" }, row.line),
      el("td", { dir: "auto", lang: languageOf([row.source], "source") }, el("button", { type: "button", data: { what: "open" }, onclick: () => this.open(row) }, row.source)), el("td", { class: "less", dir: "auto", lang: languageOf([row.target], "target") }, row.target), this.columns.map(cell));
  }

  async judge(row, verdict) {
    if (!this.judged) return;
    try {
      row.verdict = row.verdict === verdict ? "none" : verdict;
      const { verdicts } = await ask("/corpus/judge", { ids: [row.id], verdict: row.verdict, by: this.by() });
      for (const [place, each] of this.rows.entries()) if (each.source === row.source && each.target === row.target) { each.verdict = row.verdict; this.table.children[place].replaceWith(this.row(each)); }
      this.table.querySelector(`tr[data-id="${row.id}"] [data-what="${verdict}"]`)?.focus();
      this.verdicts(verdicts);
    } catch (error) { this.onError(error); }
  }

  pressed(event) {
    const verdict = { a: "accepted", r: "rejected" }[event.key], line = event.target.closest("tr[data-id]"), step = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key];
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) line[step]?.querySelector(`[data-what="${event.target.dataset.what ?? "open"}"]`)?.focus();
    else if (verdict) this.judge(this.rows.find((row) => row.id === Number(line.dataset.id)), verdict);
    else return;
    event.preventDefault();
  }

  async wordPairs() {
    if (!this.place.querySelector("#word-pairs").open) return;
    try {
      ({ word_pairs: this.pairs } = await ask("/corpus/words", { kind: this.kind, limit: 60 }));
      const word = (text, side) => (text ? [el("bdi", { lang: languageOf([text], side) }, text)] : []);
      this.words.replaceChildren(...this.pairs.map(([source, target, count]) => el("button", { type: "button", title: "show its pairs", onclick: () => this.filters.words(source, target, this.kind) }, word(source, "source"), source && target ? " → " : source ? " → ∅" : "∅ → ", word(target, "target"), ` ${count}`)));
    } catch (error) { this.onError(error); }
  }

  async csv() { try { await save("/corpus/csv", { order: this.order.value, ...this.filters.asked }, `${this.facts.name}.csv`); } catch (error) { this.onError(error); } }

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
