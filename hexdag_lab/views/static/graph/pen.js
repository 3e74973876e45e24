// A picture to keep. `Pen` has as much of a 2D canvas context as paint.js uses, and writes down SVG.

import { colours, FONT } from "./look.js";
import { paintAll } from "./paint.js";

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const short = (number) => Math.round(number * 100) / 100;

export class Pen {
  constructor() {
    Object.assign(this, { parts: [], path: "", dash: [], fillStyle: "#000", strokeStyle: "#000", lineWidth: 1, font: "", globalAlpha: 1 });
    this.open = [];
  }
  beginPath() { this.path = ""; }
  closePath() { this.path += "Z"; }
  moveTo(x, y) { this.path += `M${short(x)} ${short(y)}`; }
  lineTo(x, y) { this.path += `L${short(x)} ${short(y)}`; }
  bezierCurveTo(...p) { this.path += "C" + p.map(short).join(" "); }
  rect(x, y, w, h) { this.path += `M${short(x)} ${short(y)}h${short(w)}v${short(h)}h${short(-w)}Z`; }
  roundRect(x, y, w, h, r) {
    const a = (dx, dy) => `a${r} ${r} 0 0 1 ${dx} ${dy}`;
    this.path += `M${short(x + r)} ${short(y)}h${short(w - 2 * r)}${a(r, r)}v${h - 2 * r}${a(-r, r)}h${short(2 * r - w)}${a(-r, -r)}v${2 * r - h}${a(r, -r)}Z`;
  }
  arc(x, y, r) { this.path += `M${x + r} ${y}A${r} ${r} 0 1 1 ${x - r} ${y}A${r} ${r} 0 1 1 ${x + r} ${y}`; }
  fill() { this.parts.push(`<path d="${this.path}" fill="${this.fillStyle}"/>`); }
  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    if (this.path) this.parts.push(`<path d="${this.path}" fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}"${dash}/>`);
  }
  fillRect(x, y, w, h) { this.parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(w)}" height="${short(h)}" fill="${this.fillStyle}"/>`); }
  strokeRect(x, y, w, h) {
    this.parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(w)}" height="${short(h)}" fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}"/>`);
  }
  fillText(words, x, y) { this.parts.push(`<text x="${short(x)}" y="${short(y)}" font-size="${parseInt(this.font)}" fill="${this.fillStyle}">${escaped(words)}</text>`); }
  setLineDash(dash) { this.dash = dash; }
  save() { this.open.push(0); }
  translate(x, y) { this.open[this.open.length - 1]++; this.parts.push(`<g transform="translate(${short(x)} ${short(y)})">`); }
  restore() { for (let n = this.open.pop(); n; n--) this.parts.push("</g>"); }
}

// All of a scene as SVG, whatever is on the screen.
export function toSvg(scene, dark) {
  const pen = new Pen(), { w, h } = scene.bounds, look = colours(dark);
  paintAll(pen, scene, look, null, { y: 0, h });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="${FONT}">` +
    `<title>${escaped(`run ${scene.graph.head.run}, v${scene.graph.head.version}`)}</title>` +
    `<rect width="${w}" height="${h}" fill="${look.box}"/>${pen.parts.join("")}</svg>`;
}

const MOST_PIXELS = 12000; // of a side: browsers refuse larger canvases

export function toPng(scene, dark) {
  const { w, h } = scene.bounds, scale = Math.min(2, MOST_PIXELS / w, MOST_PIXELS / h), look = colours(dark);
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.ceil(w * scale), height: Math.ceil(h * scale) });
  const c = canvas.getContext("2d");
  c.scale(scale, scale);
  c.fillStyle = look.box;
  c.fillRect(0, 0, w, h);
  paintAll(c, scene, look, null, { y: 0, h });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

export function keep(blob, name) {
  const url = URL.createObjectURL(blob), link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
