import { el, languageOf, number, percent } from "./dom.js";

const COLUMNS = [
  ["cosine", "cosine", (one) => number(one.cosine), "of the two word vectors, after centring"],
  ["cost", "cost", (one) => number(one.cost), "what the link costs by meaning alone"],
  ["+ order", "order_price", (one) => number(one.order_price), "what it costs more for leading away from where the words around go"],
  ["− neighbours", "neighbours_bonus", (one) => number(one.neighbours_bonus), "what it costs less because the words around are linked in the same order"],
  ["= paid", "paid", (one) => number(one.paid), "what the transport paid"],
  ["mass", "mass", (one) => number(one.mass, 4), "the plan's mass between the words"],
  ["of source", "source_share", (one) => percent(one.source_share), "of all mass of the source word"],
  ["of target", "target_share", (one) => percent(one.target_share), "of all mass of the target word"],
  ["= link strength", "share", (one) => number(one.share), "the root of both shares: the colour of the cell"],
  ["× length", "length_factor", (one) => number(one.length_factor, 2), "what the length of both words says"],
  ["× rivals", "rival_factor", (one) => number(one.rival_factor, 2), "less than 1 where both words have a stronger link"],
  ["= compared", "strength", (one) => number(one.strength), "what the strategy compares"],
];

export function showWhy(place, why) {
  const yes = (one) => (one.linked ? "yes" : "");
  const head = el("tr", {}, el("th", { scope: "row" }, "candidate"), why.candidates.map((one) => el("th", { scope: "col", class: yes(one), dir: "auto", lang: languageOf([one.word], why.side === "source" ? "target" : "source"), title: one.word, data: { index: one.index } }, `${one.linked ? "● " : ""}${one.word}`)));
  const rows = COLUMNS.map(([name, key, shown, title]) => el("tr", { class: name.startsWith("=") ? "sum" : "", title },
    el("th", { scope: "row" }, name), why.candidates.map((one) => el("td", { class: yes(one), data: { key, value: one[key] } }, shown(one)))));
  const scale = [["epsilon", why.epsilon], ["tau", why.tau]].filter(([, value]) => value != null).map(([name, value]) => `${name} ${number(value)}`);
  place.replaceChildren(
    el("h2", {}, "Why this link: ", el("bdi", { lang: languageOf([why.word], why.side) }, why.word), ` (${why.side} word ${why.index})`),
    el("p", { class: "soft" }, `The best ${why.candidates.length} of ${why.words}; ● ${why.rule}.`),
    ...(why.read_as.length ? [el("p", { class: "soft" }, "Read in lower case, where that is fewer pieces: ", ...why.read_as.flatMap(([word, read], k) => [k ? ", " : "", el("bdi", {}, word), " as ", el("bdi", {}, read)]), ".")] : []),
    el("table", { class: "why" }, el("thead", {}, head), el("tbody", {}, rows)),
    el("p", { class: "soft" }, `Probability of no partner: ${why.no_partner == null ? "not known here" : percent(why.no_partner)}${scale.length ? `; ${scale.join(", ")} in units of the cost` : ""}.`));
}
