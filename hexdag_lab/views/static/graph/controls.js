// What is around the picture: buttons and search above it, the legend below, and the table that says the same in words.

import { element, MARKS, STATES, THUMB } from "./look.js";
import { keep, toPng, toSvg } from "./pen.js";

const MOST_ROWS = 500, TABLE_EVERY = 500; // rows of the table: a search reaches the others; milliseconds
const BUTTON = `font:12px system-ui,sans-serif;padding:2px 8px;border:1px solid #8889;border-radius:5px;background:transparent;color:inherit;cursor:pointer;min-width:${THUMB}px;min-height:${THUMB}px`;

export class Controls {
  constructor(parent, scene, acts) { // `screen` is given once it is there: it comes below the buttons
    Object.assign(this, { scene, acts, screen: null, legendText: "", tabled: -Infinity, again: 0 });
    this.bar = element("div", parent, {}, "display:flex;flex-wrap:wrap;gap:4px 6px;padding:2px 0 4px;align-items:center");
    this.bar.setAttribute("role", "toolbar");
    this.bar.setAttribute("aria-label", "Graph");
    const button = (text, title, pressed) => {
      const made = element("button", this.bar, { type: "button", textContent: text, title }, BUTTON);
      made.addEventListener("click", () => pressed(made));
      return made;
    };
    this.time = button("Time", "Place nodes by when they ran, or by waves (t)", () => acts.layout());
    this.follow = button("Follow", "Keep what runs in view (f)", () => acts.follow());
    this.groups = button("Groups", "Collapse or expand all groups; g for that of the selected node", () => acts.groups());
    this.tableButton = button("Table", "The same as a table", () => this.showTable());
    for (const each of [this.time, this.follow, this.groups, this.tableButton]) each.setAttribute("aria-pressed", "false");
    this.search = element("input", this.bar, { type: "search", placeholder: "search nodes", title: "Part of a name, a state, +name with all upstream, name+ with all downstream" },
      "font:12px system-ui,sans-serif;padding:2px 6px;width:11em;box-sizing:border-box;min-height:" + THUMB + "px;border:1px solid #8889;border-radius:5px;background:transparent;color:inherit");
    this.search.setAttribute("aria-label", "Search nodes");
    this.search.addEventListener("input", () => acts.search(this.search.value));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") acts.next();
      else if (event.key === "Escape") { this.search.value = ""; acts.search(""); this.screen.canvas.focus(); }
      event.stopPropagation();
    });
    this.hits = element("span", this.bar, {}, "opacity:.8;font-size:12px");
    this.hits.setAttribute("role", "status");
    button("−", "Smaller (-)", () => acts.zoom(1 / 1.5)).setAttribute("aria-label", "Zoom out");
    button("+", "Larger (+)", () => acts.zoom(1.5)).setAttribute("aria-label", "Zoom in");
    button("Fit", "Show all of it (0)", () => acts.fit());
    const name = () => `${scene.graph.head.run}-v${scene.graph.head.version}`;
    button("SVG", "Keep all of it as SVG", () => scene.graph && keep(new Blob([toSvg(scene, this.screen.dark)], { type: "image/svg+xml" }), name() + ".svg"));
    button("PNG", "Keep all of it as PNG", async () => scene.graph && keep(await toPng(scene, this.screen.dark), name() + ".png"));
  }

  below(parent) {
    this.legend = element("div", parent, {}, "display:flex;flex-wrap:wrap;gap:4px 14px;padding:4px 2px;font-size:12px");
    this.table = element("div", parent, { hidden: true, tabIndex: 0 }, "max-height:420px;overflow:auto;font-size:13px");
    this.table.setAttribute("role", "region");
    this.table.setAttribute("aria-label", "Nodes as a table");
  }

  press(button, on) { button.setAttribute("aria-pressed", String(on)); button.style.background = on ? "#0072b233" : "transparent"; }

  // After each painting: the legend names only what is there, with counts.
  refresh() {
    const { scene, screen } = this;
    const counts = scene.counts(), marks = MARKS.filter((mark, k) => mark && scene.graph.marks.includes(k));
    const text = counts.join() + marks.map((mark) => mark.word).join() + screen.look.ink;
    if (text !== this.legendText) {
      this.legendText = text;
      this.legend.parentElement.style.color = screen.look.ink;
      this.legend.replaceChildren();
      STATES.forEach((state, code) => { if (counts[code]) this.swatch(state.colour, `${state.word} ${counts[code]}`, "solid"); });
      for (const mark of marks) this.swatch(mark.colour, `${mark.sign} ${mark.word}`, mark.dash.length ? "dashed" : "solid");
    }
    this.groups.hidden = !scene.graph.groups.length || scene.layout === "time";
    if (this.table.hidden || this.again) return;
    const wait = this.tabled + TABLE_EVERY - performance.now();
    if (wait <= 0) this.fillTable();
    else this.again = setTimeout(() => { this.again = 0; if (!this.table.hidden) this.fillTable(); }, wait);
  }

  swatch(colour, text, line) {
    const item = element("span", this.legend);
    element("span", item, {}, `display:inline-block;width:10px;height:10px;margin-right:5px;border:2px ${line} ${colour};border-radius:3px;background:${colour}44`);
    item.append(text);
  }

  showTable() {
    this.table.hidden = !this.table.hidden;
    this.press(this.tableButton, !this.table.hidden);
    if (!this.table.hidden && this.scene.graph) this.fillTable();
  }

  fillTable() {
    this.tabled = performance.now();
    const { scene, screen } = this, g = scene.graph;
    const all = g.names.map((_, n) => n).filter((n) => !screen.found || screen.found.has(n));
    all.sort((a, b) => g.columns[a] - g.columns[b] || (g.names[a] < g.names[b] ? -1 : 1));
    const focused = this.table.getRootNode().activeElement?.dataset?.node;
    const table = document.createElement("table");
    table.style.cssText = "border-collapse:collapse;text-align:left";
    const head = table.createTHead().insertRow();
    for (const word of ["node", "state", "wave", "in this version", "seconds", "after"]) {
      element("th", head, { scope: "col", textContent: word }, "padding:2px 14px 2px 0;position:sticky;top:0;background:" + screen.look.box);
    }
    const body = table.createTBody();
    for (const n of all.slice(0, MOST_ROWS)) {
      const row = body.insertRow(), first = row.insertCell();
      const link = element("button", first, { type: "button", textContent: g.names[n] }, BUTTON + ";border:none;padding:1px 0;text-decoration:underline");
      link.dataset.node = n;
      link.addEventListener("click", () => this.acts.select(n));
      const words = [STATES[g.codes[n]].word, g.columns[n] + 1, MARKS[g.marks[n]]?.word ?? "", g.seconds[n] ? g.seconds[n].toFixed(2) : "", scene.near(n, false).map((m) => g.names[m]).slice(0, 5).join(", ")];
      for (const word of words) Object.assign(row.insertCell(), { textContent: word }).style.padding = "1px 14px 1px 0";
    }
    const more = all.length - MOST_ROWS;
    this.table.replaceChildren(table, ...(more > 0 ? [`… and ${more} more: search for them`] : []));
    if (focused !== undefined) this.table.querySelector(`[data-node="${focused}"]`)?.focus();
  }
}
