// What there is to draw: the graph as the host has told it, which groups are collapsed, and where everything stands.
//
// An item is a node, or a collapsed group of nodes. Columns and rows of nodes come from the host, so that a new version
// moves nothing; collapsing closes ranks within a column, and layout "time" puts nodes where they began.

import { STATES } from "./look.js";

export const COLUMN = 190, ROW = 40, WIDTH = 150, HEIGHT = 28, MARGIN = 24, TOP = 22;
const LANE = 34, SECONDS_WIDE = 1100, LEAST = 22; // of the time layout

export class Scene {
  constructor() {
    this.graph = null;
    this.seq = 0;
    this.layout = "waves";
    this.collapsed = new Set(); // labels of groups
    this.items = []; // {key, node | group, x, y, w}
    this.at = []; // node -> its item
    this.bounds = { w: 1, h: 1 };
  }

  get size() { return this.graph ? this.graph.names.length : 0; }

  // Takes a message; says what has changed: "all", a list of nodes, or null for "ask for everything again".
  take(message) {
    if (message.t === "graph") {
      if (this.graph && this.graph.head.run !== message.head.run) this.collapsed.clear();
      this.graph = message;
      this.seq = message.seq;
      this.number = new Map(message.names.map((name, n) => [name, n]));
      this.place();
      return "all";
    }
    if (!this.graph || message.seq !== this.seq + 1) return null;
    this.seq = message.seq;
    this.graph.head = message.head;
    for (const [n, code, began, seconds] of message.nodes) {
      this.graph.codes[n] = code;
      this.graph.began[n] = began;
      this.graph.seconds[n] = seconds;
    }
    return message.nodes.map(([n]) => n);
  }

  groupOf(n) { const g = this.graph.member[n]; return g < 0 ? null : this.graph.groups[g]; }

  toggle(label) {
    if (!this.collapsed.delete(label)) this.collapsed.add(label);
    this.place();
  }

  toggleAll() {
    if (this.collapsed.size) this.collapsed.clear();
    else this.graph.groups.forEach((label) => this.collapsed.add(label));
    this.place();
  }

  // Where everything stands, by the layout and by what is collapsed.
  place(now = Date.now() / 1000) {
    if (!this.graph) return;
    if (this.layout === "time") this.placeInTime(now);
    else this.placeInWaves();
    let w = WIDTH, h = HEIGHT;
    for (const item of this.items) { w = Math.max(w, item.x + item.w); h = Math.max(h, item.y + HEIGHT); }
    this.bounds = { w: w + MARGIN, h: h + MARGIN };
  }

  placeInWaves() {
    const g = this.graph, groups = new Map();
    this.items = [];
    this.at = new Array(this.size);
    for (let n = 0; n < this.size; n++) {
      const label = this.groupOf(n);
      let item = label !== null && this.collapsed.has(label) ? groups.get(label) : null;
      if (!item) {
        const grouped = label !== null && this.collapsed.has(label);
        item = { key: grouped ? "group " + label : g.names[n], column: g.columns[n], row: g.rows[n], w: WIDTH };
        if (grouped) groups.set(label, Object.assign(item, { group: label, nodes: [] }));
        else item.node = n;
        this.items.push(item);
      }
      if (item.nodes) { item.nodes.push(n); item.row = Math.min(item.row, g.rows[n]); }
      this.at[n] = item;
    }
    if (groups.size) this.closeRanks();
    for (const item of this.items) {
      item.x = MARGIN + item.column * COLUMN;
      item.y = TOP + MARGIN + item.row * ROW;
    }
  }

  closeRanks() {
    const columns = new Map();
    for (const item of this.items) columns.set(item.column, [...(columns.get(item.column) || []), item]);
    for (const items of columns.values()) items.sort((a, b) => a.row - b.row).forEach((item, row) => { item.row = row; });
  }

  // From left to right as time went by, in as few lanes as will do; what has not begun stands behind.
  placeInTime(now) {
    const g = this.graph, begun = [], rest = [];
    for (let n = 0; n < this.size; n++) (g.began[n] > 0 ? begun : rest).push(n);
    const end = (n) => (g.codes[n] === 2 ? Math.max(now, g.began[n]) : g.began[n] + g.seconds[n]);
    begun.sort((a, b) => g.began[a] - g.began[b] || a - b);
    const first = begun.length ? g.began[begun[0]] : 0;
    const last = begun.reduce((most, n) => Math.max(most, end(n)), first + .01);
    this.scale = { first, last, wide: SECONDS_WIDE };
    const per = SECONDS_WIDE / (last - first), lanes = [];
    this.items = [];
    this.at = new Array(this.size);
    const put = (n, x, lane, w) => {
      this.at[n] = { key: g.names[n], node: n, x, y: TOP + MARGIN + lane * LANE, w };
      this.items.push(this.at[n]);
    };
    for (const n of begun) {
      const x = MARGIN + (g.began[n] - first) * per, w = Math.max(LEAST, (end(n) - g.began[n]) * per);
      let lane = lanes.findIndex((edge) => edge <= x);
      if (lane < 0) lane = lanes.push(0) - 1;
      lanes[lane] = x + w + 3;
      put(n, x, lane, w);
    }
    rest.sort((a, b) => g.columns[a] - g.columns[b] || g.rows[a] - g.rows[b]);
    rest.forEach((n, k) => put(n, MARGIN + SECONDS_WIDE + 50, k, WIDTH));
  }

  counts(nodes) {
    const found = new Array(STATES.length).fill(0);
    if (nodes) for (const n of nodes) found[this.graph.codes[n]]++;
    else for (const code of this.graph.codes) found[code]++;
    return found;
  }

  // The nodes next to one, along its edges.
  near(n, forward) {
    const found = [], edges = this.graph.edges;
    for (let k = 0; k < edges.length; k += 2) {
      if (edges[k + (forward ? 0 : 1)] === n) found.push(edges[k + (forward ? 1 : 0)]);
    }
    return found;
  }

  // Which nodes a search is for: part of a name, a state ("failed"), or "+name" / "name+" with all up- or downstream.
  find(text) {
    const words = text.trim().toLowerCase();
    if (!words || !this.graph) return null;
    const state = STATES.findIndex((s) => s.word === words);
    const name = words.replace(/^\+|\+$/g, "");
    const found = new Set();
    this.graph.names.forEach((n, k) => {
      if (state >= 0 ? this.graph.codes[k] === state : n.toLowerCase().includes(name)) found.add(k);
    });
    if (words.startsWith("+")) this.spread(found, false);
    if (words.endsWith("+")) this.spread(found, true);
    return found;
  }

  spread(found, forward) {
    const next = new Map(), edges = this.graph.edges;
    for (let k = 0; k < edges.length; k += 2) {
      const [from, to] = forward ? [edges[k], edges[k + 1]] : [edges[k + 1], edges[k]];
      next.set(from, [...(next.get(from) || []), to]);
    }
    const todo = [...found];
    while (todo.length) for (const n of next.get(todo.pop()) || []) if (!found.has(n)) { found.add(n); todo.push(n); }
  }

  itemAt(x, y) {
    return this.items.find((i) => x >= i.x && x <= i.x + i.w && y >= i.y && y <= i.y + HEIGHT) || null;
  }

  words(n) {
    const g = this.graph, mark = MARK_WORDS[g.marks[n]];
    return `${g.names[n]}: ${STATES[g.codes[n]].word}${mark ? ", " + mark : ""}, wave ${g.columns[n] + 1}`;
  }
}

const MARK_WORDS = ["", "added", "changed", "proposed", "would be removed"];
