// The scene on the screen: what lies below the nodes is drawn, aside, only when something has moved, and of the nodes only
// those that have changed; pan and zoom; and a small map of the whole where there is more than fits.

import { colours, element, isDark, STATES } from "./look.js";
import { paintEdges, paintGround, paintItem, SMALL } from "./paint.js";
import { HEIGHT, MARGIN } from "./scene.js";

const MAP_WIDE = 170, MAP_HIGH = 100, LOOK_EVERY = 500; // milliseconds between looks at the theme
const LEAST_ZOOM = .04, MOST_ZOOM = 3;

export class Screen {
  constructor(parent, scene, theme) {
    this.scene = scene;
    this.theme = theme;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.moved = false; // by hand: then nothing is fitted any more
    this.chosen = null; // an item
    this.found = null; // nodes that a search is for
    this.dirty = new Set();
    this.whole = true;
    this.due = 0;
    this.looked = -Infinity; // when the theme was looked at
    this.stats = { frames: 0, changed: 0, deltas: 0, first: 0, nodes: 0, seq: 0, drawn: [] };
    this.box = element("div", parent, {}, "position:relative;width:100%;height:150px");
    const layer = "position:absolute;left:0;top:0;width:100%;height:100%;";
    this.ground = document.createElement("canvas"); // never shown: copied from
    this.canvas = element("canvas", this.box, { tabIndex: 0 }, layer + "outline-offset:-2px;touch-action:pan-y");
    this.map = element("canvas", this.box, {}, `position:absolute;right:6px;bottom:6px;width:${MAP_WIDE}px;height:${MAP_HIGH}px;border:1px solid #8888;cursor:pointer;touch-action:none`);
    this.map.setAttribute("aria-hidden", "true");
    this.map.remove(); // until there is more than fits
    this.mapped = 0;
    this.resized = new ResizeObserver(() => { if (!this.moved) this.fit(); this.all(); });
    this.resized.observe(this.box);
    this.map.addEventListener("pointerdown", (event) => this.onMap(event));
    this.map.addEventListener("pointermove", (event) => { if (event.buttons) this.onMap(event); });
  }

  stop() { this.resized.disconnect(); cancelAnimationFrame(this.due); }

  get dark() {
    if (this.theme === "dark" || this.theme === "light") return this.theme === "dark";
    const now = performance.now();
    if (now - this.looked > LOOK_EVERY) { this.looked = now; this.isDark = isDark(this.box); }
    return this.isDark;
  }

  // As high as the graph needs, within limits; it grows with new nodes and never shrinks under the reader's eyes.
  grow(fresh) {
    const wanted = Math.max(150, Math.min(560, this.scene.bounds.h + MARGIN));
    if (fresh || wanted > this.box.clientHeight) this.box.style.height = `${wanted}px`;
  }

  fit() {
    const size = this.box.getBoundingClientRect(), { w, h } = this.scene.bounds;
    const zoom = Math.min(1, (size.width || 800) / w, (size.height || 420) / h);
    Object.assign(this.view, { x: 0, y: 0, zoom: Math.max(LEAST_ZOOM, zoom) });
  }

  zoomAt(factor, x, y) {
    const v = this.view, zoom = Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, v.zoom * factor));
    v.x = x - (x - v.x) * zoom / v.zoom;
    v.y = y - (y - v.y) * zoom / v.zoom;
    v.zoom = zoom;
    this.moved = true;
    this.all();
  }

  pan(dx, dy) { this.view.x += dx; this.view.y += dy; this.moved = true; this.all(); }

  // Brings an item into view, and leaves the view alone if it is there; `zoom`: at least so near.
  reveal(item, zoom = 0, centre = false) {
    const size = this.box.getBoundingClientRect(), v = this.view;
    if (v.zoom < zoom) { v.zoom = zoom; centre = true; }
    const x = item.x * v.zoom + v.x, y = item.y * v.zoom + v.y, w = item.w * v.zoom, h = HEIGHT * v.zoom;
    if (!centre && x >= 0 && y >= 0 && x + w <= size.width && y + h <= size.height) return;
    v.x = size.width / 2 - (item.x + item.w / 2) * v.zoom;
    v.y = size.height / 2 - (item.y + HEIGHT / 2) * v.zoom;
    this.moved = true;
    this.all();
  }

  toScene(event) {
    const size = this.canvas.getBoundingClientRect(), v = this.view;
    return [(event.clientX - size.left - v.x) / v.zoom, (event.clientY - size.top - v.y) / v.zoom];
  }

  all() { this.whole = true; this.draw(); }

  touch(nodes) {
    for (const n of nodes) this.dirty.add(this.scene.at[n]);
    this.draw();
  }

  draw() { if (!this.due) this.due = requestAnimationFrame(() => { this.due = 0; this.paint(); }); }

  paint() {
    const scene = this.scene;
    if (!scene.graph || !this.canvas.isConnected) return;
    const size = this.box.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    if (!size.width) return;
    for (const canvas of [this.canvas, this.ground]) {
      const [w, h] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
      if (canvas.width !== w || canvas.height !== h) { Object.assign(canvas, { width: w, height: h }); this.whole = true; }
    }
    const look = colours(this.dark), v = this.view;
    if (this.look?.dark !== look.dark) this.whole = true;
    this.look = look;
    const place = (c) => c.setTransform(ratio * v.zoom, 0, 0, ratio * v.zoom, ratio * v.x, ratio * v.y);
    const c = this.canvas.getContext("2d"), small = v.zoom < SMALL;
    if (this.whole) {
      const g = this.ground.getContext("2d");
      for (const each of [g, c]) { each.setTransform(1, 0, 0, 1, 0, 0); each.clearRect(0, 0, this.canvas.width, this.canvas.height); }
      place(g);
      paintGround(g, scene, look, { y: -v.y / v.zoom, h: size.height / v.zoom });
      paintEdges(g, scene, look, this.chosen);
      c.drawImage(this.ground, 0, 0);
      place(c);
      for (const item of scene.items) this.item(c, item, size, small);
    } else {
      place(c);
      for (const item of this.dirty) {
        this.bare(c, item, ratio);
        this.item(c, item, size, small);
      }
    }
    const stats = this.stats;
    stats.frames += 1;
    if (this.dirty.size) stats.changed += 1;
    stats.first ||= performance.now();
    stats.nodes = scene.size;
    this.dirty.clear();
    this.whole = false;
    this.paintMap(size, look);
    this.painted?.();
  }

  // Only the ground is left where an item is, with its frame.
  bare(c, item, ratio) {
    const v = this.view, scale = ratio * v.zoom, edge = 5;
    const x = (item.x - edge) * scale + ratio * v.x, y = (item.y - edge) * scale + ratio * v.y;
    const at = [Math.floor(x), Math.floor(y), Math.ceil((item.w + 2 * edge) * scale) + 1, Math.ceil((HEIGHT + 2 * edge) * scale) + 1];
    c.save();
    c.setTransform(1, 0, 0, 1, 0, 0);
    c.clearRect(...at);
    c.drawImage(this.ground, ...at, ...at);
    c.restore();
  }

  item(c, item, size, small) {
    const v = this.view, x = item.x * v.zoom + v.x, y = item.y * v.zoom + v.y;
    if (x > size.width || y > size.height || x + item.w * v.zoom < 0 || y + HEIGHT * v.zoom < 0) return;
    const faint = this.found !== null && !(item.nodes || [item.node]).some((n) => this.found.has(n));
    paintItem(c, this.scene, item, this.look, small, item === this.chosen, faint);
  }

  // -- the small map

  mapScale() { return Math.min(MAP_WIDE / this.scene.bounds.w, MAP_HIGH / this.scene.bounds.h); }

  paintMap(size, look) {
    const v = this.view, { w, h } = this.scene.bounds;
    const fits = v.x >= -1 && v.y >= -1 && w * v.zoom + v.x <= size.width + 2 && h * v.zoom + v.y <= size.height + 2;
    if (fits === this.map.isConnected) fits ? this.map.remove() : this.box.append(this.map);
    const now = performance.now();
    if (fits || now - this.mapped < 100) return;
    this.mapped = now;
    const c = this.map.getContext("2d"), k = this.mapScale();
    Object.assign(this.map, { width: MAP_WIDE, height: MAP_HIGH });
    c.fillStyle = look.box;
    c.fillRect(0, 0, MAP_WIDE, MAP_HIGH);
    for (const item of this.scene.items) {
      c.fillStyle = item.nodes ? "#9aa0a6" : STATES[this.scene.graph.codes[item.node]].colour;
      c.fillRect(item.x * k, item.y * k, Math.max(1, item.w * k), Math.max(1, HEIGHT * k));
    }
    c.strokeStyle = look.ink;
    c.strokeRect(-v.x / v.zoom * k, -v.y / v.zoom * k, size.width / v.zoom * k, size.height / v.zoom * k);
  }

  onMap(event) {
    const at = this.map.getBoundingClientRect(), size = this.box.getBoundingClientRect(), k = this.mapScale(), v = this.view;
    v.x = size.width / 2 - (event.clientX - at.left) / k * v.zoom;
    v.y = size.height / 2 - (event.clientY - at.top) / k * v.zoom;
    this.moved = true;
    this.mapped = 0;
    this.all();
  }
}
