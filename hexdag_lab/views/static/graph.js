// The live graph: one canvas, one module, for two hosts (anywidget in a notebook cell, Panel in the dashboard).
//
// The host sends messages (see views/graph.py): {t: "graph", seq, head, names, codes, marks, columns, rows, edges, dashed}
// is everything, {t: "delta", seq, head, nodes: [[number, code], ...]} what changed since. seq has no gaps; on a gap, and
// when it is first shown, the view says {t: "hello"} and gets everything. Positions come from the host. Drawn at most
// once per animation frame; nothing is drawn while nothing changes.

const STATES = [
  { word: "waiting", colour: "#9aa0a6", shape: "ring" },
  { word: "ready", colour: "#56B4E9", shape: "half" },
  { word: "running", colour: "#0072B2", shape: "play" },
  { word: "suspended", colour: "#E69F00", shape: "pause" },
  { word: "succeeded", colour: "#009E73", shape: "check" },
  { word: "failed", colour: "#D55E00", shape: "cross" },
  { word: "cancelled", colour: "#7a7a7a", shape: "dash" },
  { word: "skipped", colour: "#CC79A7", shape: "skip" },
  { word: "blocked", colour: "#8c510a", shape: "square" },
];
const MARKS = [
  null,
  { sign: "+", word: "added", colour: "#009E73", dash: [] },
  { sign: "~", word: "changed", colour: "#E69F00", dash: [] },
  { sign: "?", word: "proposed", colour: "#CC79A7", dash: [5, 3] },
  { sign: "−", word: "would be removed", colour: "#D55E00", dash: [5, 3] },
];
const COLUMN = 190, ROW = 40, WIDTH = 150, HEIGHT = 28, MARGIN = 24, TOP = 22;

const GLYPHS = {
  ring: (c, r) => c.arc(0, 0, r, 0, 7),
  half: (c, r) => { c.arc(0, 0, r, 0, 7); c.moveTo(0, -r); c.lineTo(0, r); },
  play: (c, r) => { c.moveTo(-r * .7, -r); c.lineTo(r, 0); c.lineTo(-r * .7, r); c.closePath(); },
  pause: (c, r) => { c.moveTo(-r * .5, -r); c.lineTo(-r * .5, r); c.moveTo(r * .5, -r); c.lineTo(r * .5, r); },
  check: (c, r) => { c.moveTo(-r, 0); c.lineTo(-r * .2, r * .8); c.lineTo(r, -r * .8); },
  cross: (c, r) => { c.moveTo(-r, -r); c.lineTo(r, r); c.moveTo(r, -r); c.lineTo(-r, r); },
  dash: (c, r) => { c.moveTo(-r, 0); c.lineTo(r, 0); },
  skip: (c, r) => { c.moveTo(-r, -r); c.lineTo(0, 0); c.lineTo(-r, r); c.moveTo(0, -r); c.lineTo(r, 0); c.lineTo(0, r); },
  square: (c, r) => c.rect(-r * .8, -r * .8, r * 1.6, r * 1.6),
};

function element(tag, parent, properties = {}, css = "") {
  const made = Object.assign(document.createElement(tag), properties);
  made.style.cssText = css;
  parent.append(made);
  return made;
}

// The first background that is not transparent, up through shadow roots, says whether the page is dark.
function isDark(start) {
  for (let at = start; at; at = at.parentNode || at.host) {
    if (!(at instanceof Element)) continue;
    const rgba = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (rgba && (rgba.length < 4 || rgba[3] > 0)) return rgba[0] * .3 + rgba[1] * .6 + rgba[2] * .1 < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches && !document.body;
}

function render({ model, el }) {
  // anywidget models can send; Panel's adapter only syncs properties, so there a property carries what is said
  let said = 0;
  const say = (message) => {
    if (model.send) return model.send(message);
    model.set("said", { ...message, n: ++said });
    model.save_changes();
  };
  const box = element("div", el, {}, "position:relative;width:100%;font:13px system-ui,sans-serif");
  const canvas = element("canvas", box, { tabIndex: 0 }, "display:block;width:100%;height:150px;outline-offset:-2px;touch-action:none");
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Graph of the run. Drag to move, Ctrl and wheel to zoom, arrow keys to walk, Enter to select.");
  const legend = element("div", box, {}, "display:flex;flex-wrap:wrap;gap:4px 14px;padding:4px 2px;opacity:.85;font-size:12px");
  const live = element("div", box, {}, "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)");
  live.setAttribute("aria-live", "polite");

  let graph = null, seq = 0, selected = -1, due = 0, moved = false;
  const view = { x: 0, y: 0, zoom: 1 };
  const stats = (box.hexdag = { frames: 0, deltas: 0, first: 0, nodes: 0, seq: 0 });

  function receive(message) {
    message = message.data ?? message;
    if (message.t === "graph") {
      const name = graph && selected >= 0 ? graph.names[selected] : null;
      const fresh = !graph || graph.head.run !== message.head.run;
      graph = message;
      selected = name === null ? -1 : graph.names.indexOf(name);
      if (fresh) moved = false;
      // As high as the graph needs, within limits; it grows with new nodes and never shrinks under the reader's eyes.
      const wanted = Math.min(480, (Math.max(0, ...graph.rows) + 1) * ROW + TOP + 2 * MARGIN);
      if (wanted > canvas.clientHeight || fresh) canvas.style.height = `${Math.max(150, wanted)}px`;
      if (!moved) fit();
    } else if (message.t === "delta") {
      if (!graph || message.seq !== seq + 1) return say({ t: "hello" });
      for (const [number, code] of message.nodes) graph.codes[number] = code;
      graph.head = message.head;
      stats.deltas += 1;
    } else return;
    seq = stats.seq = message.seq;
    stats.nodes = graph.names.length;
    draw();
  }

  function fit() {
    const columns = Math.max(0, ...graph.columns) + 1, rows = Math.max(0, ...graph.rows) + 1;
    const width = columns * COLUMN + 2 * MARGIN, height = rows * ROW + TOP + 2 * MARGIN;
    const size = canvas.getBoundingClientRect();
    view.zoom = Math.max(.08, Math.min(1, (size.width || 800) / width, (size.height || 420) / height));
    view.x = view.y = 0;
  }

  function draw() {
    if (!due) due = requestAnimationFrame(() => { due = 0; paint(); });
  }

  const at = (n) => [MARGIN + graph.columns[n] * COLUMN, TOP + MARGIN + graph.rows[n] * ROW];

  function paint() {
    if (!graph || !canvas.isConnected) return;
    const size = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    if (!size.width) return;
    if (canvas.width !== Math.round(size.width * ratio)) canvas.width = Math.round(size.width * ratio);
    if (canvas.height !== Math.round(size.height * ratio)) canvas.height = Math.round(size.height * ratio);
    const c = canvas.getContext("2d"), dark = isDark(box), ink = dark ? "#e6e6e6" : "#202124";
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, size.width, size.height);
    c.setTransform(ratio * view.zoom, 0, 0, ratio * view.zoom, ratio * view.x, ratio * view.y);
    waves(c, dark, size);
    edges(c, dark);
    const small = view.zoom < .35;
    for (let n = 0; n < graph.names.length; n++) {
      const [x, y] = at(n), sx = x * view.zoom + view.x, sy = y * view.zoom + view.y;
      if (sx > size.width || sy > size.height || sx + WIDTH * view.zoom < 0 || sy + HEIGHT * view.zoom < 0) continue;
      node(c, n, x, y, ink, dark, small);
    }
    stats.frames += 1;
    stats.first ||= performance.now();
    legendFor(ink);
  }

  function waves(c, dark, size) {
    const columns = Math.max(-1, ...graph.columns) + 1;
    for (let k = 0; k < columns; k++) {
      const x = MARGIN + k * COLUMN - (COLUMN - WIDTH) / 2;
      c.fillStyle = dark ? (k % 2 ? "#ffffff0d" : "#ffffff05") : k % 2 ? "#0000000a" : "#00000004";
      c.fillRect(x, -view.y / view.zoom, COLUMN, size.height / view.zoom);
      c.fillStyle = dark ? "#bdbdbd" : "#5f6368";
      c.font = "11px system-ui,sans-serif";
      c.fillText(`wave ${k + 1}`, x + (COLUMN - WIDTH) / 2, 16);
    }
  }

  function edges(c, dark) {
    const solid = graph.edges.length / 2 - graph.dashed;
    c.strokeStyle = dark ? "#8a8a8a" : "#b0b4b9";
    c.lineWidth = 1;
    c.beginPath();
    for (let k = 0; k < graph.edges.length / 2; k++) {
      if (k === solid) { c.stroke(); c.beginPath(); c.setLineDash([5, 3]); c.strokeStyle = MARKS[3].colour; }
      const [x1, y1] = at(graph.edges[2 * k]), [x2, y2] = at(graph.edges[2 * k + 1]);
      const bend = (x2 - x1 - WIDTH) / 2;
      c.moveTo(x1 + WIDTH, y1 + HEIGHT / 2);
      c.bezierCurveTo(x1 + WIDTH + bend, y1 + HEIGHT / 2, x2 - bend, y2 + HEIGHT / 2, x2, y2 + HEIGHT / 2);
    }
    c.stroke();
    c.setLineDash([]);
  }

  function node(c, n, x, y, ink, dark, small) {
    const state = STATES[graph.codes[n]], mark = MARKS[graph.marks[n]];
    c.beginPath();
    c.roundRect(x, y, WIDTH, HEIGHT, 5);
    c.fillStyle = dark ? "#1f1f1f" : "#ffffff"; // edges pass behind
    c.fill();
    c.fillStyle = state.colour + (dark ? "55" : small ? "aa" : "22");
    c.fill();
    c.strokeStyle = mark ? mark.colour : state.colour;
    c.lineWidth = n === selected ? 3 : mark ? 2 : 1;
    c.setLineDash(mark ? mark.dash : []);
    c.stroke();
    c.setLineDash([]);
    if (n === selected) { c.strokeStyle = ink; c.lineWidth = 1; c.strokeRect(x - 4, y - 4, WIDTH + 8, HEIGHT + 8); }
    if (small) return;
    c.save();
    c.translate(x + 13, y + HEIGHT / 2);
    c.beginPath();
    c.strokeStyle = c.fillStyle = dark ? "#ffffff" : state.colour;
    c.lineWidth = 2;
    GLYPHS[state.shape](c, 5);
    if (state.shape === "play" || state.shape === "square") c.fill(); else c.stroke();
    c.restore();
    c.fillStyle = ink;
    c.font = "13px system-ui,sans-serif";
    const label = (mark ? mark.sign + " " : "") + graph.names[n];
    c.fillText(label.length > 18 ? label.slice(0, 17) + "…" : label, x + 26, y + 18);
  }

  // The legend has a row of its own and names only what is there, with counts.
  let legendText = "";
  function legendFor(ink) {
    const counts = STATES.map((state, code) => [state, graph.codes.reduce((sum, other) => sum + (other === code), 0)]);
    const marks = MARKS.filter((mark, k) => mark && graph.marks.includes(k));
    const text = counts.map(([, count]) => count).join() + marks.map((mark) => mark.word).join() + ink;
    if (text === legendText) return;
    legendText = text;
    legend.replaceChildren();
    legend.style.color = ink;
    for (const [state, count] of counts) if (count) swatch(state.colour, `${state.word} ${count}`, "solid");
    for (const mark of marks) swatch(mark.colour, `${mark.sign} ${mark.word}`, mark.dash.length ? "dashed" : "solid");
  }
  function swatch(colour, text, line) {
    const item = element("span", legend);
    element("span", item, {}, `display:inline-block;width:10px;height:10px;margin-right:5px;border:2px ${line} ${colour};border-radius:3px;background:${colour}44`);
    item.append(text);
  }

  function pick(event) {
    const size = canvas.getBoundingClientRect();
    const x = (event.clientX - size.left - view.x) / view.zoom, y = (event.clientY - size.top - view.y) / view.zoom;
    return graph ? graph.names.findIndex((_, n) => {
      const [left, top] = at(n);
      return x >= left && x <= left + WIDTH && y >= top && y <= top + HEIGHT;
    }) : -1;
  }

  function select(n) {
    selected = n;
    if (n >= 0) live.textContent = `${graph.names[n]}: ${STATES[graph.codes[n]].word}${graph.marks[n] ? ", " + MARKS[graph.marks[n]].word : ""}`;
    say({ t: "select", node: n >= 0 ? graph.names[n] : null });
    draw();
  }

  function walk(key) {
    if (!graph || !graph.names.length) return;
    if (selected < 0) return select(graph.columns.indexOf(0));
    const ends = [];
    for (let k = 0; k < graph.edges.length; k += 2) {
      if (key === "ArrowRight" && graph.edges[k] === selected) ends.push(graph.edges[k + 1]);
      if (key === "ArrowLeft" && graph.edges[k + 1] === selected) ends.push(graph.edges[k]);
    }
    if (key === "ArrowUp" || key === "ArrowDown") {
      const sign = key === "ArrowUp" ? -1 : 1;
      graph.columns.forEach((column, n) => {
        if (column === graph.columns[selected] && (graph.rows[n] - graph.rows[selected]) * sign > 0) ends.push(n);
      });
      ends.sort((a, b) => (graph.rows[a] - graph.rows[b]) * sign);
    }
    if (ends.length) select(ends[0]);
  }

  function zoomAt(factor, x, y) {
    const zoom = Math.max(.05, Math.min(3, view.zoom * factor));
    view.x = x - (x - view.x) * zoom / view.zoom;
    view.y = y - (y - view.y) * zoom / view.zoom;
    view.zoom = zoom;
    moved = true;
    draw();
  }

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, far: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return void (canvas.style.cursor = pick(event) >= 0 ? "pointer" : "grab");
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    Object.assign(drag, { x: event.clientX, y: event.clientY, far: true });
    view.x += dx;
    view.y += dy;
    moved = true;
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.far) select(pick(event));
    drag = null;
  });
  // The wheel scrolls the page; it zooms only with Ctrl or Cmd, or while the graph has the focus.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && canvas.getRootNode().activeElement !== canvas) return;
    event.preventDefault();
    const size = canvas.getBoundingClientRect();
    zoomAt(Math.exp(-event.deltaY / 400), event.clientX - size.left, event.clientY - size.top);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const size = canvas.getBoundingClientRect();
    if (event.key.startsWith("Arrow")) walk(event.key);
    else if (event.key === "+" || event.key === "-") zoomAt(event.key === "+" ? 1.2 : 1 / 1.2, size.width / 2, size.height / 2);
    else if (event.key === "0") { moved = false; fit(); draw(); }
    else if (event.key === "Escape") select(-1);
    else return;
    event.preventDefault();
  });

  // A notebook marks widgets whose kernel is gone; nothing will change here any more, and the reader is told so.
  const gone = element("div", box, { hidden: true }, "padding:4px 2px;color:#D55E00");
  box.prepend(gone);
  const connected = () => {
    gone.hidden = !el.closest(".jupyter-widgets-disconnected");
    const attach = graph ? ` lab.attach(${JSON.stringify(graph.head.run)}) in a new cell goes on with the run.` : "";
    gone.textContent = `The kernel of this cell is gone: this is what it saw last.${attach}`;
  };
  if (model.send) model.on("comm_live_update", () => setTimeout(connected));

  const resized = new ResizeObserver(() => { if (graph && !moved) fit(); draw(); });
  resized.observe(canvas);
  model.on("msg:custom", receive);
  say({ t: "hello" });
  return () => {
    resized.disconnect();
    model.off("msg:custom", receive);
    if (model.send) model.off("comm_live_update");
    cancelAnimationFrame(due);
  };
}

export default { render };
