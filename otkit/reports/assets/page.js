"use strict";
// The page's whole behaviour. Data is JSON in #data; text reaches the document through textContent alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SYMBOLS = { link: "●", sure: "●", possible: "○", missed: "×", extra: "+" };
  const NAMES = { link: "link", sure: "link, sure in gold", possible: "link, possible in gold",
    missed: "missed, sure in gold", extra: "link not in gold" };
  const PAGE = 30;
  const list = document.getElementById("pairs");
  const status = document.getElementById("status");
  const svgTemplate = document.getElementById("svg");
  const state = { threshold: null, panels: [], order: data.order, search: "", shown: [], rendered: 0, pinned: null,
    open: new Set() }; // "pair panel" of each grid that a reader has opened: pairs are rebuilt, what is open stays open

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const percent = (share) => `${Math.round(share)} %`;

  // ---- views: what one variant says of one pair, decoded when first shown
  function viewOf(pair, variant) {
    const raw = pair.v[variant];
    if (!raw.decoded) {
      const m = pair.t.length;
      raw.decoded = {
        m, shares: bytes(raw.p), alone: [raw.a && bytes(raw.a), raw.b && bytes(raw.b)], cost: raw.c,
        links: new Map(raw.l.map(([i, j, score]) => [i * m + j, score])),
      };
    }
    return raw.decoded;
  }

  function linksOf(view) {
    if (state.threshold === null) return view.links;
    const links = new Map();
    view.shares.forEach((share, cell) => { if (share >= state.threshold) links.set(cell, share); });
    return links;
  }

  function kindsOf(pair, view) {
    const links = linksOf(view);
    const kinds = new Map();
    if (!pair.g) {
      for (const cell of links.keys()) kinds.set(cell, "link");
      return kinds;
    }
    const sure = new Set(pair.g.s.map(([i, j]) => i * view.m + j));
    const possible = new Set(pair.g.p.map(([i, j]) => i * view.m + j));
    for (const cell of links.keys()) kinds.set(cell, sure.has(cell) ? "sure" : possible.has(cell) ? "possible" : "extra");
    for (const cell of sure) if (!links.has(cell)) kinds.set(cell, "missed");
    return kinds;
  }

  // ---- variants: model, layer, transport
  const AXES = ["model", "layer", "transport"];
  function variantOf(choice) {
    for (let kept = AXES.length; kept >= 0; kept -= 1) {
      const axes = AXES.slice(0, kept);
      const found = data.variants.findIndex((variant) => axes.every((axis) => variant[axis] === choice[axis]));
      if (found >= 0) return found;
    }
    return 0;
  }
  const caption = (variant) => AXES.map((axis) => variant[axis]).filter(Boolean).join(" · ");

  // ---- one pair
  function wordList(words, side, direction, label, lonely) {
    const node = element("ol", { class: "words", dir: direction, "data-side": side, "aria-label": label });
    words.forEach((word, index) => {
      const button = element("button", { type: "button", class: lonely.has(index) ? "word lonely" : "word",
        "data-index": index, tabindex: index === 0 ? 0 : -1, "aria-pressed": "false" }, element("bdi", {}, word));
      node.append(element("li", {}, button));
    });
    return node;
  }

  function buildPanel(pair, choice, number) {
    const index = variantOf(choice);
    const view = viewOf(pair, index);
    const kinds = kindsOf(pair, view);
    const partnered = [new Set(), new Set()];
    for (const [cell, kind] of kinds) {
      if (kind !== "missed") { partnered[0].add(Math.floor(cell / view.m)); partnered[1].add(cell % view.m); }
    }
    const lonely = [pair.s, pair.t].map((words, side) => new Set([...words.keys()].filter((k) => !partnered[side].has(k))));
    const figure = element("figure", { class: "panel" });
    const cost = view.cost === null ? "" : `transport cost ${view.cost.toFixed(3)}`;
    const settings = data.variants[index].settings;
    const counts = pair.g ? ["sure", "possible", "missed", "extra"].map(
      (name) => `${[...kinds.values()].filter((kind) => kind === name).length} ${name}`).join(", ") : "";
    figure.append(element("figcaption", {}, [caption(data.variants[index]), cost, counts].filter(Boolean).join(" · "),
      ...(settings ? [element("br"), `as extracted: ${settings}`] : [])));
    const flow = element("div", { class: "flow" });
    const drawing = svgTemplate.content.querySelector("svg").cloneNode(false);
    flow.append(wordList(pair.s, "s", pair.d[0], "source words", lonely[0]), drawing, wordList(pair.t, "t", pair.d[1], "target words", lonely[1]));
    const grid = element("details", {}, element("summary", {}, "Grid and list of links"));
    const place = `${pair.n} ${number}`;
    grid.open = state.open.has(place);
    const fill = () => { if (grid.open && !grid.dataset.filled) { grid.dataset.filled = "1"; grid.append(buildGrid(pair, view, kinds, lonely)); } };
    grid.addEventListener("toggle", () => { state.open[grid.open ? "add" : "delete"](place); fill(); });
    fill();
    figure.append(flow, grid);
    figure.view = view;
    figure.kinds = kinds;
    figure.lonely = lonely;
    figure.pair = pair;
    resizes.observe(flow);
    return figure;
  }

  function buildGrid(pair, view, kinds, lonely) {
    const head = element("tr", {}, element("td", { class: "corner" }));
    for (const word of pair.t) head.append(element("th", { scope: "col" }, element("span", { title: word }, element("bdi", {}, word))));
    head.append(element("th", { scope: "col" }, element("span", {}, "no partner")));
    const body = element("tbody");
    const possible = new Set(pair.g ? pair.g.p.map(([i, j]) => i * view.m + j) : []);
    const sure = new Set(pair.g ? pair.g.s.map(([i, j]) => i * view.m + j) : []);
    const cellNode = (share, kind, names) => element("td", { class: names, style: `--share:${share / 100}`, title: percent(share) },
      kind ? SYMBOLS[kind] : "", element("span", { class: "hidden" }, `${percent(share)}${kind ? `, ${NAMES[kind]}` : ""}`));
    pair.s.forEach((word, i) => {
      const row = element("tr", {}, element("th", { scope: "row" }, element("bdi", {}, word)));
      pair.t.forEach((_, j) => {
        const cell = i * view.m + j;
        row.append(cellNode(view.shares[cell], kinds.get(cell), sure.has(cell) ? "gold" : possible.has(cell) ? "gold-possible" : null));
      });
      row.append(cellNode(lonely[0].has(i) && view.alone[0] ? view.alone[0][i] : 0, null, "null"));
      body.append(row);
    });
    const last = element("tr", {}, element("th", { scope: "row" }, "no partner"));
    pair.t.forEach((_, j) => last.append(cellNode(lonely[1].has(j) && view.alone[1] ? view.alone[1][j] : 0, null, "null")));
    last.append(element("td", {}));
    body.append(last);
    const table = element("table", { class: "grid", dir: pair.d[1] }, element("caption", {}, "Link strength"), element("thead", {}, head), body);
    const items = element("ul", {});
    for (const [cell, kind] of [...kinds].sort((a, b) => a[0] - b[0])) {
      const score = linksOf(view).get(cell) ?? view.shares[cell];
      items.append(element("li", {}, element("bdi", {}, pair.s[Math.floor(cell / view.m)]), " – ",
        element("bdi", {}, pair.t[cell % view.m]), ` ${percent(score)}, ${NAMES[kind]}`));
    }
    // A box that scrolls must be reachable from the keyboard.
    return element("div", {}, element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "grid" }, table), items);
  }

  function drawLinks(figure) {
    const flow = figure.querySelector(".flow");
    const svg = flow.querySelector("svg");
    const origin = flow.getBoundingClientRect();
    const boxes = ["s", "t"].map((side) => [...flow.querySelectorAll(`[data-side=${side}] .word`)].map((word) => word.getBoundingClientRect()));
    svg.replaceChildren(...[...figure.kinds].map(([cell, kind]) => {
      const [from, to] = [boxes[0][Math.floor(cell / figure.view.m)], boxes[1][cell % figure.view.m]];
      const x1 = from.left + from.width / 2 - origin.left, y1 = from.bottom - origin.top;
      const x2 = to.left + to.width / 2 - origin.left, y2 = to.top - origin.top, bend = (y2 - y1) / 2;
      const path = svgTemplate.content.querySelector("path").cloneNode(false);
      path.setAttribute("d", `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`);
      path.setAttribute("class", `kind-${kind}`);
      path.dataset.cell = cell;
      return path;
    }));
  }
  const resizes = new ResizeObserver((entries) => {
    for (const entry of entries) if (entry.target.isConnected) drawLinks(entry.target.parentElement);
  });

  function buildPair(pair) {
    const node = element("article", { class: "pair", "aria-label": `pair ${pair.n}` });
    if (data.pairs.length > 1) node.append(element("h3", {}, `Pair ${pair.n}`));
    node.append(element("div", { class: "panels" }, ...state.panels.map((choice, number) => buildPanel(pair, choice, number))));
    return node;
  }

  // ---- lighting partners
  function dim(article) {
    for (const word of article.querySelectorAll(".word")) {
      word.style.removeProperty("--share");
      word.classList.remove("chosen");
    }
    for (const flow of article.querySelectorAll(".flow")) flow.classList.remove("lit");
    for (const path of article.querySelectorAll("path.on")) path.classList.remove("on");
  }

  function light(button) {
    const article = button.closest(".pair");
    const side = button.closest(".words").dataset.side;
    const index = Number(button.dataset.index);
    dim(article);
    const said = [];
    for (const figure of article.querySelectorAll(".panel")) {
      const { view, pair } = figure;
      const others = side === "s" ? pair.t : pair.s;
      const shareOf = (other) => view.shares[side === "s" ? index * view.m + other : other * view.m + index];
      figure.querySelector(`[data-side=${side}] [data-index="${index}"]`).classList.add("chosen");
      others.forEach((_, other) => {
        figure.querySelector(`[data-side=${side === "s" ? "t" : "s"}] [data-index="${other}"]`)
          .style.setProperty("--share", (shareOf(other) / 100).toFixed(2));
      });
      const flow = figure.querySelector(".flow");
      flow.classList.add("lit");
      for (const path of flow.querySelectorAll("path")) {
        const cell = Number(path.dataset.cell);
        path.classList.toggle("on", (side === "s" ? Math.floor(cell / view.m) : cell % view.m) === index);
      }
      const best = [...others.keys()].sort((a, b) => shareOf(b) - shareOf(a)).slice(0, 4).filter((other) => shareOf(other) >= 1);
      const parts = best.map((other) => `\u2068${others[other]}\u2069 ${percent(shareOf(other))}`);
      if (figure.lonely[side === "s" ? 0 : 1].has(index)) {
        const alone = view.alone[side === "s" ? 0 : 1];
        parts.push(alone ? `no partner (${percent(alone[index])})` : "no partner");
      }
      said.push(parts.join(", ") || "no mass");
    }
    const word = (side === "s" ? article.querySelector(".panel").pair.s : article.querySelector(".panel").pair.t)[index];
    status.textContent = `\u2068${word}\u2069: ${said.join(" | ")}`;
  }

  function release(article) {
    dim(article);
    if (state.pinned && state.pinned.isConnected) light(state.pinned);
    else if (document.activeElement?.matches(".word")) light(document.activeElement);
    else status.textContent = data.hint;
  }

  const wordOf = (event) => (event.target.closest ? event.target.closest(".word") : null);
  list.addEventListener("mouseover", (event) => { const word = wordOf(event); if (word) light(word); });
  list.addEventListener("mouseout", (event) => { const word = wordOf(event); if (word) release(word.closest(".pair")); });
  list.addEventListener("focusin", (event) => { const word = wordOf(event); if (word) light(word); });
  list.addEventListener("focusout", (event) => { const word = wordOf(event); if (word) release(word.closest(".pair")); });
  list.addEventListener("click", (event) => {
    const word = wordOf(event);
    if (!word) return;
    const before = state.pinned;
    if (before) before.setAttribute("aria-pressed", "false");
    state.pinned = before === word ? null : word;
    if (state.pinned) word.setAttribute("aria-pressed", "true");
    if (before && before.isConnected) dim(before.closest(".pair"));
    light(word);
  });
  list.addEventListener("keydown", (event) => {
    const word = wordOf(event);
    if (!word) return;
    const words = word.closest(".words");
    const all = [...words.querySelectorAll(".word")];
    const ahead = getComputedStyle(words).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const at = all.indexOf(word);
    let next = null;
    if (event.key === "Escape") {
      if (state.pinned) { state.pinned.setAttribute("aria-pressed", "false"); dim(state.pinned.closest(".pair")); }
      state.pinned = null;
      light(word);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") next = all[at + (event.key === ahead ? 1 : -1)];
    else if (event.key === "Home") next = all[0];
    else if (event.key === "End") next = all[all.length - 1];
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const side = event.key === "ArrowUp" ? "s" : "t";
      const others = [...word.closest(".flow").querySelectorAll(`[data-side=${side}] .word`)];
      const middle = (box) => box.left + box.width / 2;
      const here = middle(word.getBoundingClientRect());
      const distance = (other) => Math.abs(middle(other.getBoundingClientRect()) - here);
      if (words.dataset.side !== side) next = others.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    } else return;
    event.preventDefault();
    if (next) {
      for (const other of next.closest(".words").querySelectorAll(".word")) other.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
  });

  // ---- the list: sorted, filtered, built thirty pairs at a time
  const nullWords = (pair, variant) => {
    const links = pair.v[variant].l;
    return pair.s.length + pair.t.length - new Set(links.map((link) => link[0])).size - new Set(links.map((link) => link[1])).size;
  };
  const meanMass = (pair, variant) => {
    const best = [new Map(), new Map()];
    for (const [i, j, score] of pair.v[variant].l) {
      best[0].set(i, Math.max(score, best[0].get(i) || 0));
      best[1].set(j, Math.max(score, best[1].get(j) || 0));
    }
    const sum = (map) => [...map.values()].reduce((a, b) => a + b, 0);
    return (sum(best[0]) + sum(best[1])) / (pair.s.length + pair.t.length);
  };
  const disagreement = (pair, one, two) => {
    const [a, b] = [one, two].map((variant) => new Set(pair.v[variant].l.map(([i, j]) => i * pair.t.length + j)));
    const both = [...a].filter((cell) => b.has(cell)).length;
    const union = a.size + b.size - both;
    return union ? 1 - both / union : 0;
  };
  const errorRate = (pair, variant) => {
    if (!pair.g) return 0;
    const cells = (links) => new Set(links.map(([i, j]) => i * pair.t.length + j));
    const [found, sure, possible] = [pair.v[variant].l, pair.g.s, pair.g.p].map(cells);
    const hits = [...found].filter((cell) => sure.has(cell)).length + [...found].filter((cell) => possible.has(cell)).length;
    return found.size + sure.size ? 1 - hits / (found.size + sure.size) : 0;
  };
  const ORDERS = {
    file: (pair) => pair.n,
    error: (pair, one) => -errorRate(pair, one),
    mass: (pair, one) => meanMass(pair, one),
    nulls: (pair, one) => -nullWords(pair, one) / (pair.s.length + pair.t.length),
    cost: (pair, one) => -(pair.v[one].c ?? 0),
    longest: (pair) => -(pair.s.length + pair.t.length),
    disagreement: (pair, one, two) => -disagreement(pair, one, two),
  };

  function select() {
    const [one, two] = [state.panels[0], state.panels[1] || state.panels[0]].map(variantOf);
    const wanted = state.search.toLocaleLowerCase();
    state.shown = data.pairs.filter((pair) => !wanted ||
      pair.s.join(" ").toLocaleLowerCase().includes(wanted) || pair.t.join(" ").toLocaleLowerCase().includes(wanted));
    const key = ORDERS[state.order];
    if (key) {
      const keys = new Map(state.shown.map((pair) => [pair, key(pair, one, two)]));
      state.shown.sort((a, b) => keys.get(a) - keys.get(b));
    }
  }

  function more(count) {
    const end = Math.min(state.shown.length, state.rendered + count);
    list.append(...state.shown.slice(state.rendered, end).map(buildPair));
    state.rendered = end;
    const total = document.getElementById("count");
    if (total) total.textContent = `${state.shown.length} of ${data.pairs.length} pairs`;
  }

  function refresh({ keep = 0 } = {}) {
    resizes.disconnect();
    state.pinned = null;
    state.rendered = 0;
    list.replaceChildren();
    more(Math.max(PAGE, keep));
    status.textContent = data.hint;
  }
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && state.rendered < state.shown.length) more(PAGE);
  }, { rootMargin: "800px" }).observe(document.getElementById("end"));

  // ---- controls
  const slider = document.getElementById("threshold");
  const shownThreshold = document.getElementById("threshold-value");
  function setThreshold(value) {
    state.threshold = value;
    if (value === null) slider.value = slider.defaultValue;
    shownThreshold.textContent = value === null ? "as extracted" : `${value} %`;
    refresh({ keep: state.rendered });
  }
  slider.addEventListener("input", () => setThreshold(Number(slider.value)));
  document.getElementById("extracted").addEventListener("click", () => setThreshold(null));

  function buildChoices() {
    const box = document.getElementById("choices");
    box.replaceChildren();
    state.panels.forEach((panel, number) => {
      for (const axis of AXES) {
        const values = [...new Set(data.variants.map((variant) => variant[axis]))];
        if (values.length < 2) continue;
        const name = state.panels.length > 1 ? `${axis} ${number + 1}` : axis;
        const chooser = element("select", {}, ...values.map((value) => element("option", { value }, value)));
        chooser.value = panel[axis];
        chooser.addEventListener("change", () => {
          panel[axis] = chooser.value;
          Object.assign(panel, data.variants[variantOf(panel)]);
          buildChoices();
          select();
          refresh({ keep: state.rendered });
        });
        box.append(element("label", {}, name, chooser));
      }
    });
    if (data.variants.length > 1) {
      const both = element("input", { type: "checkbox" });
      both.checked = state.panels.length > 1;
      both.addEventListener("change", () => {
        state.panels = both.checked ? [state.panels[0], { ...data.variants[data.second] }] : state.panels.slice(0, 1);
        buildChoices();
        select();
        refresh({ keep: state.rendered });
      });
      box.append(element("label", {}, both, "side by side"));
    }
  }

  const order = document.getElementById("order");
  if (order) order.addEventListener("change", () => { state.order = order.value; select(); refresh(); });
  const search = document.getElementById("search");
  if (search) search.addEventListener("input", () => { state.search = search.value; select(); refresh(); });

  if (data.pairs.length === 1) state.open = new Set([0, 1].map((number) => `${data.pairs[0].n} ${number}`));
  state.panels = [{ ...data.variants[0] }];
  if (new Set(data.variants.map((variant) => variant.model)).size > 1) state.panels.push({ ...data.variants[data.second] });
  buildChoices();
  select();
  refresh();
  document.documentElement.dataset.ready = "1";
})();
