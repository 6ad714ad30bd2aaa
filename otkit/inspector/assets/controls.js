import { byId, el } from "./dom.js";

// name, label, lowest, highest, logarithmic
const SLIDERS = [["epsilon", "epsilon", 0.005, 1, true], ["tau", "tau", 0.005, 2, true], ["distortion", "order", 0, 1], ["agreement", "neighbours", 0, 1],
  ["attach_factor", "attachment", 1, 6], ["threshold", "threshold", 0, 1]];
const RANGES = { threshold: [0, 1], softmax: [0, 0.2], entmax: [0, 0.5], itermax: [1, 6], "top-k": [1, 6] };
const STEPS = 1000;

// What the settings are, and what a person changes of them.
export class Controls {
  constructor(place, facts, onChange) {
    Object.assign(this, { place, facts, onChange, changes: {} });
    const select = (name, label, options, value) => el("label", {}, label, el("select", { id: name, onchange: (event) => this.chosen(name, event.target.value) }, options.map(([key, text]) => el("option", { value: key, selected: key === value }, text))));
    const models = facts.models.map(({ name }) => [name, name]);
    if (models.length > 1) models.push(["*", `${models[0][0]} → ${models[1][0]}: what changed`]);
    this.model = models[0][0];
    const named = (name) => Object.entries(facts.settings[name].choices).map(([key]) => [key, key]);
    this.meaning = { transport: el("span", { class: "unit" }), strategy: el("span", { class: "unit" }) };
    place.append(select("model", "model", models, this.model), this.layer = select("layer", "layer", []),
      select("transport", "transport", named("transport"), facts.settings.transport.value), select("strategy", "strategy", named("strategy"), facts.settings.strategy.value));
    for (const [name, meaning] of Object.entries(this.meaning)) byId(name).after(meaning);
    this.sliders = Object.fromEntries(SLIDERS.map((each) => [each[0], this.slider(...each)]));
    place.append(el("label", {}, "all settings", el("button", { type: "button", id: "reset", onclick: () => this.reset() }, "back to the start")));
    this.layers();
    this.show();
  }

  get own() { return this.facts.models.find(({ name }) => name === this.model) ?? this.facts.models[0]; }

  layers() {
    const own = this.own, used = `${own.layers.join("+")}: the encoder's own`;
    this.layer.querySelector("select").replaceChildren(el("option", { value: "" }, used), ...[...Array(own.states).keys()].map((k) => el("option", { value: k }, k ? k : "0: embeddings")));
  }

  slider(name, label, low, high, log) {
    const input = el("input", { id: name, type: "range", min: 0, max: STEPS, list: `${name}-default`, oninput: () => this.slid(name) });
    const output = el("output", { for: name }), list = el("datalist", { id: `${name}-default` }), unit = el("span", { class: "unit" });
    const box = el("label", { title: this.facts.settings[name].help }, el("span", { class: "named" }, label, output), input, list, unit);
    this.place.append(box);
    return { input, output, list, unit, box, low, high, log };
  }

  start(name) {
    if (name !== "threshold") return this.facts.settings[name].value;
    return this.strategy === this.facts.settings.strategy.value ? this.facts.threshold : this.facts.thresholds[this.strategy]?.value;
  }

  get strategy() { return this.changes.strategy ?? this.facts.settings.strategy.value; }

  get transport() { return this.changes.transport ?? this.facts.settings.transport.value; }

  place_(slider, value) {
    const { low, high, log } = slider;
    return Math.round(STEPS * (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)));
  }

  slid(name) {
    const slider = this.sliders[name], { low, high, log } = slider, place = Number(slider.input.value), start = this.start(name);
    let value = log ? low * (high / low) ** (place / STEPS) : low + ((high - low) * place) / STEPS;
    value = Number(value.toPrecision(3));
    if (this.counts && name === "threshold") value = Math.round(value);
    if (Math.abs(place - this.place_(slider, start)) <= 6) delete this.changes[name]; // the mark is easy to hit
    else this.changes[name] = value;
    this.show(false);
    this.onChange();
  }

  get counts() { return this.strategy === "itermax" || this.strategy === "top-k"; }

  chosen(name, value) {
    if (name === "model") { this.model = value; delete this.changes.layers; this.layers(); }
    else if (name === "layer") { if (value === "") delete this.changes.layers; else this.changes.layers = [Number(value)]; }
    else { this.changes[name] = value; if (name === "strategy") delete this.changes.threshold; }
    this.show();
    this.onChange();
  }

  // What an address says; what is no setting of this server is left out.
  restore({ model, settings }) {
    const has = (select, value) => [...byId(select).options].some((option) => option.value === String(value));
    if (has("model", model)) { byId("model").value = this.model = model; this.layers(); }
    this.changes = Object.fromEntries(Object.entries(settings && typeof settings === "object" ? settings : {}).filter(([name]) => name in this.facts.settings));
    for (const name of ["transport", "strategy"]) byId(name).value = this[name];
    const layer = this.changes.layers?.[0] ?? "";
    if (has("layer", layer)) byId("layer").value = layer;
    this.show();
  }

  setLayer(layer) { byId("layer").value = layer; this.chosen("layer", layer); }

  reset() {
    this.changes = {};
    for (const name of ["transport", "strategy"]) byId(name).value = this.facts.settings[name].value;
    byId("layer").value = "";
    this.show();
    this.onChange();
  }

  // Sliders where they stand; those that nothing looks at are gone.
  show(move = true) {
    const uses = { tau: this.transport === "unbalanced", epsilon: !["exact", "fgw"].includes(this.transport), attach_factor: this.strategy === "threshold", threshold: this.strategy in RANGES, distortion: this.transport !== "none", agreement: this.transport !== "none" };
    for (const [name, meaning] of Object.entries(this.meaning)) meaning.textContent = this.facts.settings[name].choices[this[name]];
    [this.sliders.threshold.low, this.sliders.threshold.high] = RANGES[this.strategy] ?? [0, 1];
    for (const [name, slider] of Object.entries(this.sliders)) {
      slider.box.hidden = uses[name] === false;
      if (slider.box.hidden) continue;
      const start = this.start(name), value = this.changes[name] ?? start;
      slider.list.replaceChildren(el("option", { value: this.place_(slider, start) }));
      if (move) slider.input.value = this.place_(slider, value);
      slider.output.value = value;
      slider.input.setAttribute("aria-valuetext", `${value}, start ${start}`);
      slider.box.classList.toggle("changed", name in this.changes);
      const unit = this.facts.settings[name].unit, ground = this.facts.settings.unit.value === "mean-cost" ? "× the pair's mean cost" : "in units of the cost";
      const of = name === "threshold" ? this.facts.thresholds[this.strategy].unit : unit === "`unit`" ? ground : unit ? "× the pair's mean cost" : "factor";
      slider.unit.textContent = `${of}; start ${start}`;
    }
  }
}
