import { directionOf, el, languageOf, number, percent } from "./dom.js";

// The plan as a table with heads that stay; the same words are redrawn in place, so that focus and scroll stay too.
export class Matrix {
  constructor(place, { onWord, onCell, onKey }) {
    Object.assign(this, { place, onWord, onCell, onKey, key: "", focus: [0, 0] });
    new ResizeObserver(() => { if (this.frame?.isConnected && place.clientWidth !== this.width) this.fit(); }).observe(place);
  }

  draw({ source, target, share, strength, links, marks, difference, kept, gained, lost, nulls }) {
    const key = JSON.stringify([source, target]);
    const anew = key !== this.key || !this.frame?.isConnected;
    if (anew) this.build(source, target, key);
    const linked = new Set((difference ? kept : links).map(([i, j]) => `${i},${j}`));
    const more = new Set((gained ?? []).map(String)), less = new Set((lost ?? []).map(String));
    this.cells.forEach((row, i) => row.forEach((cell, j) => {
      const name = `${i},${j}`, value = difference ? difference[i][j] : share[i][j];
      const hue = difference ? (value < 0 ? "--loss" : "--gain") : "--mass";
      const level = Math.round(100 * Math.min(1, Math.abs(value)));
      const kind = marks?.get(name);
      const look = [level, difference ? value < 0 : "", linked.has(name), more.has(name), less.has(name), kind, strength && number(strength[i][j], 2)].join();
      if (cell.share !== value) cell.dataset.share = cell.share = value;
      if (cell.look === look) return; // most cells stay as they are
      cell.look = look;
      cell.style.backgroundColor = level ? `color-mix(in srgb, var(${hue}) ${level}%, var(--paper))` : "";
      cell.className = [linked.has(name) ? "linked" : "", more.has(name) ? "gained" : "", less.has(name) ? "lost" : "", kind ?? ""].join(" ").trim();
      const said = [difference ? `difference of link strength ${number(value, 2)}` : `link strength ${percent(value)}`];
      if (!difference && strength && Math.abs(strength[i][j] - value) > 0.005) said.push(`compared ${percent(strength[i][j])}`);
      if (linked.has(name)) said.push("linked");
      if (more.has(name)) said.push("gained");
      if (less.has(name)) said.push("lost");
      if (kind) said.push(`${kind} by hand`);
      cell.title = `${source[i]} – ${target[j]}: ${said.join(", ")}`;
      cell.setAttribute("aria-label", cell.title);
    }));
    const rows = new Set(links.map(([i]) => i)), columns = new Set(links.map(([, j]) => j));
    this.heads.source.forEach((head, i) => this.alone(head, !rows.has(i), nulls?.[0]?.[i]));
    this.heads.target.forEach((head, j) => this.alone(head, !columns.has(j), nulls?.[1]?.[j]));
    if (anew) this.fit();
  }

  alone(head, is, share) {
    head.classList.toggle("alone", is);
    head.title = is ? `no link${share == null ? "" : `; probability of no partner ${percent(share)}`}` : "";
  }

  build(source, target, key) {
    this.key = key;
    this.focus = [0, 0];
    const languages = [languageOf(source, "source"), languageOf(target, "target")];
    const head = (word, index, side) => el("button", { class: "word", type: "button", dir: "auto", lang: languages[side === "source" ? 0 : 1], data: { side, index },
      onclick: () => this.onWord(side, index) }, word);
    this.heads = { source: source.map((word, i) => head(word, i, "source")), target: target.map((word, j) => head(word, j, "target")) };
    this.cells = source.map((_, i) => target.map((_, j) => el("td", { role: "gridcell", tabindex: i || j ? -1 : 0, data: { i, j } })));
    const top = el("tr", { role: "row" }, el("td"), this.heads.target.map((button) => el("th", { scope: "col" }, button)));
    const body = source.map((_, i) => el("tr", { role: "row" }, el("th", { scope: "row" }, this.heads.source[i]), this.cells[i]));
    this.table = el("table", { class: "matrix", role: "grid", dir: directionOf(target), "aria-label": "Source words in rows, target words in columns" },
      el("thead", {}, top), el("tbody", {}, body));
    this.table.addEventListener("click", (event) => { const cell = event.target.closest("td[data-i]"); if (cell) { this.move(+cell.dataset.i, +cell.dataset.j); this.onCell(...this.focus); } });
    this.table.addEventListener("mouseover", (event) => this.cross(event.target.closest("td[data-i]")));
    this.table.addEventListener("mouseleave", () => this.cross(null));
    this.table.addEventListener("focusin", (event) => { const cell = event.target.closest("td[data-i]"); if (cell) this.cross(cell); });
    this.table.addEventListener("keydown", (event) => this.pressed(event));
    this.frame = el("div", { class: "frame" }, this.table);
    this.place.replaceChildren(this.frame);
  }

  fit() {
    this.width = this.place.clientWidth;
    const wide = this.width - Math.min(150, Math.max(...this.heads.source.map((head) => head.offsetWidth)) + 16);
    const size = Math.max(8, Math.min(innerWidth > 2000 ? 44 : 32, Math.floor(wide / this.cells[0].length) - 1));
    this.table.style.setProperty("--cell", `${size}px`);
  }

  cross(cell) {
    for (const marked of this.table.querySelectorAll(".cross")) marked.classList.remove("cross");
    if (!cell) return;
    const { i, j } = cell.dataset;
    this.cells[i].forEach((one) => one.classList.add("cross"));
    this.cells.forEach((row) => row[j].classList.add("cross"));
    this.heads.source[i].parentElement.classList.add("cross");
    this.heads.target[j].parentElement.classList.add("cross");
  }

  move(i, j) {
    this.cells[this.focus[0]][this.focus[1]].tabIndex = -1;
    this.focus = [Math.max(0, Math.min(this.cells.length - 1, i)), Math.max(0, Math.min(this.cells[0].length - 1, j))];
    const cell = this.cells[this.focus[0]][this.focus[1]];
    cell.tabIndex = 0;
    cell.focus({ preventScroll: false });
  }

  pressed(event) {
    const ahead = this.table.dir === "rtl" ? -1 : 1;
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -ahead], ArrowRight: [0, ahead] }[event.key];
    if (!event.target.closest("td[data-i]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const [i, j] = this.focus;
    if (step) this.move(i + step[0], j + step[1]);
    else if (event.key === "Enter") this.onWord("source", i);
    else if (!this.onKey(event.key, i, j)) return;
    event.preventDefault();
  }
}
