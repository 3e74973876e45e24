// The live graph, for three hosts: anywidget in a notebook cell, Panel in the dashboard, and a report without any server.
//
// The host sends messages (see views/graph.py): {t: "graph", seq, head, names, codes, …} is everything, {t: "delta", seq,
// head, nodes: [[number, code, began, seconds], …]} what changed since. seq has no gaps; on a gap, and when it is first
// shown, the view says {t: "hello"} and gets everything. Drawn at most once per animation frame; nothing is drawn while
// nothing changes. The files beside this one are put together to one module by views/module.py.

import { Controls } from "./controls.js";
import { element, RUNNING } from "./look.js";
import { Scene } from "./scene.js";
import { Screen } from "./screen.js";

const FOLLOW_EVERY = 600, TIME_EVERY = 500; // milliseconds

export function render({ model, el }) {
  // anywidget models can send; Panel's adapter only syncs properties, so there a property carries what is said
  let said = 0;
  const say = (message) => {
    if (model.send) return model.send(message);
    model.set("said", { ...message, n: ++said });
    model.save_changes();
  };
  const box = element("div", el, {}, "position:relative;width:100%;font:13px system-ui,sans-serif");
  const gone = element("div", box, { hidden: true }, "padding:4px 2px;color:#D55E00");
  const scene = new Scene();
  const acts = { layout, follow, groups, search, next, fit, select, zoom };
  const controls = new Controls(box, scene, acts);
  const screen = new Screen(box, scene, model.get("theme"));
  controls.screen = screen;
  controls.below(box);
  const { canvas } = screen;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Graph of the run. Arrow keys walk along edges; plus, minus and 0 zoom; slash searches; g, t and f group, place by time, follow. The table has the same in words.");
  const live = element("div", box, {}, "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)");
  live.setAttribute("aria-live", "polite");
  box.hexdag = screen.stats; // what tests and benchmarks look at
  Object.defineProperty(screen.stats, "screen", { value: screen });
  screen.painted = () => controls.refresh();

  let selected = null, following = false, hit = -1; // selected: a node's name
  const chosen = () => (selected === null ? undefined : scene.number?.get(selected));

  function receive(message) {
    message = message.data ?? message;
    if (message.t !== "graph" && message.t !== "delta") return;
    const fresh = message.t === "graph" && scene.graph?.head.run !== message.head.run;
    const changed = scene.take(message);
    if (changed === null) return say({ t: "hello" });
    screen.stats.seq = scene.seq;
    if (changed === "all") {
      if (fresh) screen.moved = false;
      if (screen.found) screen.found = scene.find(controls.search.value);
      arrange(fresh);
    } else {
      screen.stats.deltas += 1;
      screen.touch(changed);
    }
  }

  // After anything has moved.
  function arrange(fresh = false) {
    const n = chosen();
    screen.chosen = n === undefined ? null : scene.at[n];
    screen.dirty.clear();
    screen.grow(fresh);
    if (!screen.moved) screen.fit();
    screen.all();
  }

  function layout() {
    if (!scene.graph) return;
    scene.layout = scene.layout === "waves" ? "time" : "waves";
    controls.press(controls.time, scene.layout === "time");
    screen.moved = false;
    scene.place();
    arrange();
  }
  function groups() {
    if (!scene.graph) return;
    scene.toggleAll();
    controls.press(controls.groups, scene.collapsed.size > 0);
    arrange();
  }
  function group(label) {
    if (label === null || scene.layout === "time") return;
    scene.toggle(label);
    controls.press(controls.groups, scene.collapsed.size > 0);
    arrange();
  }
  function follow(on = !following) {
    following = on;
    controls.press(controls.follow, following);
    if (following) look();
  }
  function look() {
    if (!scene.graph) return;
    const running = scene.graph.codes.findIndex((code) => code === RUNNING);
    if (running >= 0) screen.reveal(scene.at[running], .6);
  }
  function zoom(factor) { screen.zoomAt(factor, screen.box.clientWidth / 2, screen.box.clientHeight / 2); }
  function fit() { screen.moved = false; screen.fit(); screen.all(); }
  function search(text) {
    screen.found = scene.find(text);
    hit = -1;
    controls.hits.textContent = screen.found ? `${screen.found.size} found` : "";
    controls.tabled = -Infinity;
    screen.all();
  }
  function next() {
    if (!screen.found?.size) return;
    const found = [...screen.found];
    hit = (hit + 1) % found.length;
    select(found[hit]);
    screen.reveal(scene.at[found[hit]], .6, true);
  }

  function select(n) {
    selected = n === null || n < 0 ? null : scene.graph.names[n];
    screen.chosen = selected === null ? null : scene.at[n];
    if (selected !== null) {
      live.textContent = scene.words(n);
      screen.reveal(screen.chosen);
    }
    say({ t: "select", node: selected });
    screen.all();
  }

  function walk(key) {
    const g = scene.graph, n = chosen();
    if (!g || !g.names.length) return;
    if (n === undefined) return select(g.columns.indexOf(0));
    let ends = [];
    if (key === "ArrowRight" || key === "ArrowLeft") {
      ends = scene.near(n, key === "ArrowRight");
      ends.sort((a, b) => Math.abs(g.rows[a] - g.rows[n]) - Math.abs(g.rows[b] - g.rows[n]));
    } else {
      const sign = key === "ArrowUp" ? -1 : 1;
      g.columns.forEach((column, m) => {
        if (column === g.columns[n] && (g.rows[m] - g.rows[n]) * sign > 0) ends.push(m);
      });
      ends.sort((a, b) => (g.rows[a] - g.rows[b]) * sign);
    }
    if (ends.length) select(ends[0]);
  }

  // -- hands

  const pick = (event) => (scene.graph ? scene.itemAt(...screen.toScene(event)) : null);
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, far: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return void (canvas.style.cursor = pick(event) ? "pointer" : "grab");
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.far && Math.hypot(dx, dy) < 4) return;
    Object.assign(drag, { x: event.clientX, y: event.clientY, far: true });
    if (following) follow(false);
    screen.pan(dx, dy);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.far) {
      const item = pick(event);
      if (item?.nodes) group(item.group);
      else select(item ? item.node : null);
    }
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("dblclick", (event) => { const item = pick(event); if (item && !item.nodes) group(scene.groupOf(item.node)); });
  // The wheel scrolls the page; it zooms only with Ctrl or Cmd, or while the graph has the focus.
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && canvas.getRootNode().activeElement !== canvas) return;
    event.preventDefault();
    const size = canvas.getBoundingClientRect();
    screen.zoomAt(Math.exp(-event.deltaY / 400), event.clientX - size.left, event.clientY - size.top);
  }, { passive: false });
  const keys = {
    "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), "0": fit, f: () => follow(), t: layout,
    g: () => (chosen() === undefined ? groups() : group(scene.groupOf(chosen()))), "/": () => controls.search.focus(),
    Escape: () => select(null),
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) walk(event.key);
    else if (scene.graph && keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
  });

  const ticking = setInterval(() => { if (following && !document.hidden) look(); }, FOLLOW_EVERY);
  const timing = setInterval(() => {
    if (scene.layout !== "time" || document.hidden || !scene.graph?.codes.includes(RUNNING)) return;
    scene.place();
    arrange();
  }, TIME_EVERY);

  // A notebook marks widgets whose kernel is gone; nothing will change here any more, and the reader is told so.
  const connected = () => {
    gone.hidden = !el.closest(".jupyter-widgets-disconnected");
    const attach = scene.graph ? ` lab.attach(${JSON.stringify(scene.graph.head.run)}) in a new cell goes on with the run.` : "";
    gone.textContent = `The kernel of this cell is gone: this is what it saw last.${attach}`;
  };
  if (model.send) model.on("comm_live_update", () => setTimeout(connected));

  // Themes change without a message: by a class or an attribute of the page, or in the system's settings.
  const repaint = () => { screen.looked = -Infinity; screen.draw(); };
  const themes = new MutationObserver(repaint);
  for (const root of [document.documentElement, document.body]) themes.observe(root, { attributes: true });
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", repaint);

  model.on("msg:custom", receive);
  say({ t: "hello" });
  return () => {
    screen.stop();
    clearTimeout(controls.again);
    clearInterval(ticking);
    clearInterval(timing);
    themes.disconnect();
    system.removeEventListener("change", repaint);
    model.off("msg:custom", receive);
    if (model.send) model.off("comm_live_update");
  };
}

export default { render };
