import { Annotate } from "./annotate.js";
import { ask, latest } from "./api.js";
import { Controls } from "./controls.js";
import { Corpus } from "./corpus.js";
import { byId, el, languageOf, number, setLanguages } from "./dom.js";
import { interlinear } from "./interlinear.js";
import { LayerTable } from "./layer_table.js";
import { showLayers } from "./layers.js";
import { legendOf } from "./legend.js";
import { Matrix } from "./matrix.js";
import { showSpace } from "./space.js";
import { showSubwords } from "./subwords.js";
import { showWhy } from "./why.js";

const START = ["Gestern hat die Regierung ein neues Gesetz zum Schutz der Wälder beschlossen .", "Yesterday the government passed a new law to protect the forests ."];
const LONG = 24; // words of a side, from which words over words are easier to read than a matrix

const state = { facts: null, controls: null, corpus: null, annotate: null, found: null, word: null, cell: null, annotated: null };

function problem(error) {
  const place = byId("problem");
  place.hidden = !error;
  place.textContent = error ? error.message : "";
}

const texts = () => ({ source: byId("source").value, target: byId("target").value });
const asked = () => ({ ...texts(), model: state.controls.model === "*" ? state.facts.models[0].name : state.controls.model, settings: state.controls.changes });

const matrix = new Matrix(byId("picture"), {
  onWord: chooseWord,
  onCell: (i, j) => { if (state.annotate?.cell(i, j)) return; state.cell = [i, j]; chooseWord("source", i); layers(); },
  onKey: (key, i, j) => state.annotate?.key(key, i, j) ?? false,
});

function draw() {
  const found = state.found;
  if (!found) return;
  const chosen = byId("shape").value, long = Math.max(found.source.length, found.target.length) > LONG;
  const changed = state.controls.model === "*";
  let shape = chosen === "auto" ? (long ? "interlinear" : "matrix") : chosen;
  if (changed || state.annotate?.on) shape = "matrix";
  if (shape === "matrix") matrix.draw({ ...found, marks: state.annotate?.marks, nulls: [found.source_no_partner, found.target_no_partner] });
  else matrix.key = "";
  if (shape === "interlinear") interlinear(byId("picture"), found, { onWord: chooseWord });
  if (shape === "subwords") subwords();
  byId("legend").replaceChildren(...legendOf({ shape, changed, annotating: state.annotate?.on }));
  mark();
}

const align = latest(async () => {
  const begun = performance.now();
  for (const side of ["source", "target"]) byId(side).lang = languageOf([byId(side).value], side) ?? "";
  if (!texts().source.trim() || !texts().target.trim()) return;
  if (state.controls.model === "*") {
    const answer = await ask("/compare", { ...texts(), settings: state.controls.changes });
    const after = answer.alignments[1];
    state.found = { ...after, difference: answer.difference, kept: answer.kept, gained: answer.gained, lost: answer.lost };
    byId("status").textContent = `${answer.kept.length} links kept, ${answer.gained.length} gained, ${answer.lost.length} lost from ${answer.models[0]} to ${answer.models[1]}`;
  } else {
    const { alignments: [found], milliseconds } = await ask("/align", asked());
    state.found = found;
    byId("status").textContent = `${found.model}, layer ${found.layers.join("+")}: ${found.links.length} links, cost ${number(found.cost)} (lower is closer); ${milliseconds} ms`;
  }
  problem(null);
  if (state.cell && (state.cell[0] >= state.found.source.length || state.cell[1] >= state.found.target.length)) state.cell = null;
  const pair = JSON.stringify([state.found.source, state.found.target]);
  if (state.annotate && pair !== state.annotated) { state.annotated = pair; await state.annotate.load(); }
  draw();
  document.documentElement.dataset.drawn = Number(document.documentElement.dataset.drawn ?? 0) + 1;
  document.documentElement.dataset.took = Math.round(performance.now() - begun);
  remember();
  rest();
  if (state.word) await explain();
}, problem);

async function explain() {
  const [side, word] = state.word, words = state.found[side];
  if (word >= words.length) { state.word = null; return; }
  const request = asked();
  if (state.controls.model === "*") request.model = state.facts.models[1].name;
  showWhy(byId("why"), await ask("/explain", { ...request, side, word }));
  mark();
}

const explaining = latest(explain, problem);
const layers = latest(async () => {
  if (!state.found) return;
  showLayers(byId("layers"), await ask("/layers", asked()), { ...state.found, cell: state.cell, onLayer: (layer) => state.controls.setLayer(layer) });
}, problem);
const subwords = latest(async () => {
  const found = await ask("/subwords", asked());
  if (byId("shape").value === "subwords") showSubwords(byId("picture"), found, state.found);
}, problem);
const space = latest(async () => {
  if (!state.found) return;
  const models = state.controls.model === "*" ? state.facts.models.map(({ name }) => name) : [state.controls.model];
  showSpace(byId("space"), await ask("/space", { ...texts(), models, settings: state.controls.changes }));
}, problem);

function chooseWord(side, index) {
  state.word = [side, index];
  remember();
  explaining();
}

// The address says what is looked at: who opens it sees the same.
function remember() {
  const view = { ...texts(), model: state.controls.model, settings: state.controls.changes, shape: byId("shape").value, word: state.word, corpus: state.corpus?.view };
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(view))}`);
}

function restore() {
  let kept = {};
  try { kept = JSON.parse(decodeURIComponent(location.hash.slice(1))) ?? {}; } catch { /* an address without a view */ }
  byId("source").value = kept.source ?? START[0];
  byId("target").value = kept.target ?? START[1];
  if ([...byId("shape").options].some(({ value }) => value === kept.shape)) byId("shape").value = kept.shape;
  state.controls.restore(kept);
  state.word = Array.isArray(kept.word) && ["source", "target"].includes(kept.word[0]) && Number.isInteger(kept.word[1]) ? kept.word : null;
  if (state.corpus) { if (kept.corpus && typeof kept.corpus === "object") state.corpus.view = kept.corpus; state.corpus.load(); }
  align();
}

function mark() {
  for (const node of document.querySelectorAll("#picture .word")) {
    const chosen = state.word && node.dataset.side === state.word[0] && Number(node.dataset.index) === state.word[1];
    node.classList.toggle("chosen", Boolean(chosen));
    node.setAttribute("aria-pressed", String(Boolean(chosen)));
  }
}

// The pictures below wait until the hand rests.
let resting;
function rest() {
  clearTimeout(resting);
  resting = setTimeout(() => { layers(); space(); }, 300);
}

function newText() {
  state.word = state.cell = null;
  byId("why").replaceChildren(el("h2", {}, "Why this link"), el("p", { class: "soft" }, "Choose a word: its best candidates, and what decides between them."));
  align();
}

async function begin() {
  state.facts = await ask("/settings");
  state.controls = new Controls(byId("controls"), state.facts, align);
  setLanguages(state.facts.languages);
  for (const id of ["source", "target"]) byId(id).addEventListener("input", newText);
  byId("shape").addEventListener("change", () => { draw(); remember(); });
  addEventListener("hashchange", restore);
  addEventListener("resize", () => { if (matrix.frame?.isConnected) matrix.fit(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layers);
  if (state.facts.annotations) {
    state.annotate = new Annotate(byId("annotating"), {
      pair: () => state.found && { source: state.found.source, target: state.found.target }, links: () => state.found.links,
      onChange: draw, onNext: async () => { if (state.corpus) await state.corpus.next(); }, onError: problem });
  }
  if (state.facts.corpus) {
    state.corpus = new Corpus(byId("corpus"), state.facts.corpus, { models: state.facts.models.length, judged: state.facts.annotations, by: () => state.annotate.by.value, onShown: remember, onError: problem,
      onPair: (row) => { byId("source").value = row.source; byId("target").value = row.target; newText(); byId("text").scrollIntoView({ block: "nearest" }); } });
  }
  if (!state.facts.alone) new LayerTable(byId("languages"), { model: () => asked().model, onError: problem });
  restore();
  document.documentElement.dataset.ready = "1";
}

begin().catch(problem);
