import { ask } from "./api.js";
import { byId, el, number } from "./dom.js";

const KEYS = { s: "sure", p: "possible", x: "none", Backspace: "none", Delete: "none" };
const AFTER = { sure: "possible", possible: "none" };

// Links by hand: s sure, p possible, x none, u undo, n next; the mouse goes round the three.
export class Annotate {
  constructor(place, { pair, links, onChange, onNext, onError }) {
    Object.assign(this, { place, pair, links, onChange, onNext, onError, marks: new Map(), on: false, more: {} });
    this.by = el("input", { id: "annotator", value: "me", size: 8, maxlength: 40, pattern: "[\\w\\-]{1,40}", onchange: () => this.load() });
    this.toggle = el("button", { type: "button", id: "annotate", "aria-pressed": "false", onclick: () => this.switch() }, "annotate");
    this.tools = el("span", { hidden: true }, " ", el("label", {}, "as ", this.by), " ",
      el("button", { type: "button", id: "accept", title: "make every link of the picture sure", onclick: () => this.accept() }, "accept links"), " ",
      el("button", { type: "button", id: "undo", title: "key u", onclick: () => this.undo() }, "undo"), " ",
      el("button", { type: "button", id: "next", title: "key n: this one is done, the next in the list", onclick: () => this.next() }, "done, next"), " ",
      el("input", { id: "note", "aria-label": "note", placeholder: "note", onchange: (event) => this.send({ note: event.target.value }) }), " ",
      this.said = el("output", { class: "soft" }));
    place.replaceChildren(this.toggle, this.tools);
    document.addEventListener("keydown", (event) => {
      if (!this.on || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      if (event.key === "u") this.undo();
      if (event.key === "n") this.next();
    });
  }

  switch() {
    this.on = !this.on;
    this.toggle.setAttribute("aria-pressed", String(this.on));
    this.tools.hidden = !this.on;
    if (this.on) this.load();
    else this.take({ cells: [] });
  }

  async load() { if (this.on && this.pair()) await this.try(async () => this.take(await ask("/annotations", { ...this.pair(), by: this.by.value }))); }

  take(state) {
    this.marks = new Map(state.cells.map(([i, j, kind]) => [`${i},${j}`, kind]));
    const count = (kind) => state.cells.filter((cell) => cell[2] === kind).length;
    byId("note").value = state.note ?? "";
    this.said.value = `${count("sure")} sure, ${count("possible")} possible${state.done ? ", done" : ""}; ${state.pairs ?? 0} pairs saved`;
    this.onChange();
  }

  cell(i, j) { if (this.on) this.set(i, j, AFTER[this.marks.get(`${i},${j}`)] ?? (this.marks.has(`${i},${j}`) ? "none" : "sure")); return this.on; }

  key(key, i, j) { if (!this.on || !KEYS[key]) return false; this.set(i, j, KEYS[key]); return true; }

  set(i, j, kind) { return this.send({ cells: [[i, j, kind]] }); }

  accept() { return this.send({ cells: this.links().map(([i, j]) => [i, j, "sure"]) }); }

  async send(changes) { await this.try(async () => this.take(await ask("/annotate", { ...this.pair(), by: this.by.value, ...changes }))); }

  async undo() { await this.try(async () => { await ask("/annotate/undo", { by: this.by.value }); await this.load(); }); }

  async next() { await this.send({ done: true }); await this.onNext(); await this.agreement(); }

  async agreement() {
    const { annotators } = await ask("/agreement");
    const other = annotators.find((name) => name !== this.by.value);
    if (!other) return;
    const found = await ask("/agreement", { first: other, second: this.by.value });
    if (found.pairs) this.said.value += `; with ${other} on ${found.pairs} pairs: kappa ${number(found.kappa, 2)}, AER ${number(found.aer, 2)}`;
  }

  async try(work) { try { await work(); } catch (error) { this.onError(error); } }
}
