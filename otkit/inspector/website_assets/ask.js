import { inSpace, mutualShare, trace } from "./aligner.js";
import { Problem } from "./api.js";
import { Encoder } from "./encoder.js";
import { lettersOf, wordsOf } from "./tokenizer.js";

const MOST_CELLS = 40_000;
const facts = fetch(new URL("page.json", import.meta.url)).then((response) => response.json());
let opened = null;

const mean = (layers) => layers[0].map((side, s) => side.map((vector, w) => vector.map((_, d) => layers.reduce((total, layer) => total + layer[s][w][d], 0) / layers.length)));
const round = (matrix, digits) => matrix.map((row) => row.map((value) => Number(value.toFixed(digits))));

function checkCells(source, target, what) {
  if (source * target > MOST_CELLS) throw new Problem(`${source} times ${target} ${what} are more than ${MOST_CELLS} pairs of ${what}: give the sentences one by one`);
}

// The pair's words and how they are aligned, for each list of hidden states that is averaged; with `pieces` between these, as
// `units` then says whose they are.
async function aligned(request, { groups, pieces = false } = {}) {
  const { encoder, rules, wide, start, models } = await facts, sentences = [request.source, request.target].map((text) => (typeof text === "string" ? wordsOf(text) : text));
  if (sentences.some((words) => !words.length)) throw new Problem("a sentence has no words");
  checkCells(...sentences.map((words) => words.length), "words");
  const settings = { ...start, ...(request.settings ?? {}) }, own = request.settings?.layers ?? models[0].layers, letters = sentences.map((words) => words.map((word) => lettersOf(word, wide)));
  opened ??= Encoder.open(encoder);
  const { tokenizer } = await opened, read = settings.truecase ? sentences.map((words) => tokenizer.truecase(words)) : sentences, found = await (await opened).layers(read);
  const units = read.map((words) => words.flatMap((word, k) => tokenizer.pieces(word).map((id) => ({ word: k, piece: tokenizer.spelled(id) }))));
  if (pieces) checkCells(...units.map((side) => side.length), "subwords");
  const layers = found.map((layer) => (pieces ? layer.pieces.map((words) => words.flat()) : layer.words)), sizes = pieces ? units.map((side, k) => side.map(({ word }) => letters[k][word])) : letters;
  return { sentences, settings, units, layers: own, traces: (groups ?? [own]).map((group) => trace(mean(group.map((layer) => layers[layer])), sizes, settings, rules)) };
}

// What the live page's server answers, computed here.
const ANSWERS = {
  "/settings": () => facts,
  "/align": async (request) => {
    const begun = performance.now(), { sentences, layers, traces: [found] } = await aligned(request);
    const alignment = { model: (await facts).models[0].name, layers, source: sentences[0], target: sentences[1], links: found.links, cost: found.mean_cost,
      share: round(found.share, 4), strength: round(found.strength, 4), plan: round(found.plan, 6), source_no_partner: found.source_no_partner, target_no_partner: found.target_no_partner };
    return { alignments: [alignment], milliseconds: Math.round(performance.now() - begun) };
  },
  "/explain": async ({ side = "source", word, ...request }) => {
    const { sentences, settings, traces: [found] } = await aligned(request), [own, other] = side === "source" ? sentences : [...sentences].reverse();
    const row = (matrix) => (side === "source" ? matrix[word] : matrix.map((each) => each[word]));
    const [linked, strength, mass] = [row(found.linked), row(found.strength), row(found.mass)];
    const order = [...other.keys()].sort((one, two) => linked[two] - linked[one] || strength[two] - strength[one] || mass[two] - mass[one]).slice(0, 5);
    const figures = ["cosine", "cost", "order_price", "neighbours_bonus", "paid", "mass", "source_share", "target_share", "share", "length_factor", "rival_factor", "strength", "linked"];
    const rule = settings.strategy === "threshold" ? `linked where the strength is above ${settings.threshold}` : `linked by the strategy ${settings.strategy}`;
    return { side, index: word, word: own[word], words: other.length, rule, epsilon: found.epsilon, tau: found.tau, no_partner: found[`${side}_no_partner`][word],
      candidates: order.map((index) => ({ index, word: other[index], ...Object.fromEntries(figures.map((name) => [name, row(found[name])[index]])) })) };
  },
  "/layers": async (request) => {
    const { encoder } = await facts, groups = [...Array(encoder.states).keys()].map((layer) => [layer]), { layers: used, traces } = await aligned(request, { groups });
    const layers = traces.map((found, layer) => ({ layer, share: round(found.share, 2), links: found.links, mutual: mutualShare(found.cosine), cost: found.mean_cost }));
    const most = Math.max(...layers.map((layer) => layer.mutual)), best = layers.filter((layer) => layer.mutual === most).map((layer) => layer.layer);
    return { used, layers, verdict: `The words agree best in hidden state${best.length > 1 ? "s" : ""} ${best.join(", ")}: ${Math.round(100 * most)}% of them are each other's nearest` };
  },
  // Between pieces shares are compared as they are: lengths are those of words.
  "/subwords": async (request) => {
    const { settings, units, traces: [found] } = await aligned(request, { pieces: true }), [source, target] = units, weighed = settings.strategy === "threshold";
    const linked = weighed ? found.share.map((row) => row.map((share) => share > settings.threshold)) : found.linked;
    return { source: source.map(({ piece }) => piece), target: target.map(({ piece }) => piece), source_words: source.map(({ word }) => word), target_words: target.map(({ word }) => word),
      share: round(found.share, 4), links: linked.flatMap((row, i) => row.flatMap((is, j) => (is ? [[i, j]] : []))) };
  },
  "/space": async (request) => {
    const { sentences, traces: [found] } = await aligned(request);
    return { source: sentences[0], target: sentences[1], models: [{ model: (await facts).models[0].name, links: found.links, ...inSpace(found.vectors) }] };
  },
};

export async function ask(path, request = {}) {
  if (!ANSWERS[path]) throw new Problem("a page without a server does not have this: `otkit inspect` does");
  return ANSWERS[path](request);
}
