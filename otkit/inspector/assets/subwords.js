import { el, languageOf, percent } from "./dom.js";

// The pieces of each word under it, and the links between pieces.
export function showSubwords(place, found, words) {
  const links = new Set(found.links.map(String)), languages = { source: languageOf(words.source, "source"), target: languageOf(words.target, "target") };
  const runs = (owners) => owners.reduce((all, owner) => { if (all.at(-1)?.[0] === owner) all.at(-1)[1] += 1; else all.push([owner, 1]); return all; }, []);
  const starts = (owners) => owners.map((owner, k) => k > 0 && owners[k - 1] !== owner);
  const below = starts(found.source_words), beside = starts(found.target_words);
  const word = (side, index) => el("span", { dir: "auto", lang: languages[side] }, words[side][index]);
  const top = el("tr", {}, el("td", { colspan: 2 }), runs(found.target_words).map(([index, count]) => el("th", { colspan: count, scope: "colgroup", class: "whole" }, word("target", index))));
  const pieces = el("tr", {}, el("td", { colspan: 2 }), found.target.map((piece, j) => el("th", { scope: "col", class: beside[j] ? "edge" : "" }, el("span", { class: "piece", dir: "auto", lang: languages.target }, piece))));
  const sizes = new Map(runs(found.source_words));
  const rows = found.source.map((piece, i) => el("tr", { class: below[i] ? "edge" : "" },
    i === 0 || below[i] ? el("th", { rowspan: sizes.get(found.source_words[i]), scope: "rowgroup", class: "whole" }, word("source", found.source_words[i])) : null,
    el("th", { scope: "row", class: "piece", dir: "auto", lang: languages.source }, piece),
    found.share[i].map((share, j) => {
      const linked = links.has(`${i},${j}`), level = Math.round(100 * Math.min(1, share));
      const said = `${piece} – ${found.target[j]}: link strength ${percent(share)}${linked ? ", linked" : ""}`;
      return el("td", { class: `${linked ? "linked" : ""} ${beside[j] ? "edge" : ""}`.trim(), title: said, "aria-label": said, vars: level ? { "background-color": `color-mix(in srgb, var(--mass) ${level}%, var(--paper))` } : {} });
    })));
  place.replaceChildren(el("div", { class: "frame", tabindex: 0, role: "region", "aria-label": "subwords" }, el("table", { class: "matrix subwords", "aria-label": "Subwords of the source in rows, of the target in columns" }, el("thead", {}, top, pieces), el("tbody", {}, rows))));
}
