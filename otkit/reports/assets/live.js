"use strict";
// Takes hold of every live view in the document that has no script yet: a notebook has several.
(() => {
  const MARKS = { link: "●", sure: "●", possible: "○", missed: "×", extra: "+" };

  function kinds(data, links) {
    const found = new Map();
    if (!data.gold) {
      for (const cell of links) found.set(cell, "link");
      return found;
    }
    const sure = new Set(data.gold.s);
    const possible = new Set(data.gold.p);
    for (const cell of sure) found.set(cell, "missed");
    for (const cell of links) found.set(cell, sure.has(cell) ? "sure" : possible.has(cell) ? "possible" : "extra");
    return found;
  }

  function errorRate(data, links) {
    const sure = new Set(data.gold.s);
    const possible = new Set(data.gold.p);
    const hit = (set) => links.filter((cell) => set.has(cell)).length;
    return 1 - (hit(sure) + hit(possible)) / Math.max(1, links.length + sure.size);
  }

  function begin(root) {
    root.dataset.ready = "1";
    const data = JSON.parse(root.querySelector("script").textContent);
    const width = data.t.length;
    const controls = root.querySelector(".otkit-controls");
    const select = root.querySelector("select");
    const slider = root.querySelector("input");
    const output = root.querySelector("output");
    const table = root.querySelector("table");
    const rows = [...table.tBodies[0].rows].slice(0, data.s.length);
    const heads = [
      ...rows.map((row) => row.cells[0]),
      ...[...table.tHead.rows[0].cells].slice(1, width + 1),
    ];
    const asked = data.rules.findIndex((rule) => rule.asked);
    let said = "";

    const ofStrategy = (name) => data.rules.filter((rule) => rule.name === name);

    function draw(rule) {
      const found = kinds(data, rule.links);
      const linked = [new Set(), new Set()];
      for (const cell of rule.links) {
        linked[0].add(Math.floor(cell / width));
        linked[1].add(cell % width);
      }
      rows.forEach((row, i) => {
        for (let j = 0; j < width; j += 1) row.cells[j + 1].textContent = MARKS[found.get(i * width + j)] || "";
      });
      heads.forEach((head, place) => {
        const alone = place < rows.length ? !linked[0].has(place) : !linked[1].has(place - rows.length);
        head.querySelector(".otkit-null")?.remove();
        if (!alone) return;
        const mark = document.createElement("span");
        mark.className = "otkit-null";
        mark.textContent = " ∅";
        head.append(mark);
      });
      // How probably a word has no partner was reckoned for the links that were asked for.
      root.classList.toggle("otkit-other", !rule.asked);
      const at = rule.threshold === null ? "" : ` ${rule.threshold}`;
      const rate = data.gold ? `, AER ${errorRate(data, rule.links).toFixed(3)}` : "";
      const count = `${rule.links.length} link${rule.links.length === 1 ? "" : "s"}`;
      said = `${rule.name}${at}${rule.asked ? " (as asked for)" : ""}: ${count}${rate}`;
      output.textContent = said;
    }

    function choose() {
      const rules = ofStrategy(select.value);
      slider.parentElement.hidden = rules.length < 2;
      slider.max = String(rules.length - 1);
      draw(rules[Math.min(Number(slider.value), rules.length - 1)]);
    }

    function start(rule) {
      const rules = ofStrategy(rule.name);
      select.value = rule.name;
      slider.max = String(rules.length - 1);
      slider.value = String(rules.indexOf(rule));
      choose();
    }

    select.addEventListener("change", () => {
      const rules = ofStrategy(select.value);
      start(rules.find((rule) => rule.asked) || rules[Math.floor(rules.length / 2)]);
    });
    slider.addEventListener("input", choose);
    table.addEventListener("mouseover", (event) => {
      const cell = event.target.closest("td");
      const i = rows.indexOf(cell?.parentElement);
      const j = cell ? cell.cellIndex - 1 : -1;
      output.textContent =
        i < 0 || j < 0 || j >= width
          ? said
          : `${data.s[i]} → ${data.t[j]}: link strength ${data.share[i][j]} %, cosine ${(data.cosine[i][j] / 100).toFixed(2)}`;
    });
    table.addEventListener("mouseleave", () => {
      output.textContent = said;
    });
    controls.hidden = false;
    start(data.rules[asked]);
  }

  for (const root of document.querySelectorAll(".otkit-live:not([data-ready])")) begin(root);
})();
