// Draws a scene with anything that has the methods of a 2D canvas context: the screen, a picture to keep, or `Pen`, which
// writes SVG.

import { FONT, GLYPHS, MARKS, STATES } from "./look.js";
import { COLUMN, HEIGHT, MARGIN, WIDTH } from "./scene.js";

export const SMALL = .35; // below this zoom there is no text

// The waves, or the seconds, behind everything.
export function paintGround(c, scene, colours, area) {
  if (scene.layout === "time") return paintSeconds(c, scene, colours, area);
  const columns = scene.graph.columns.reduce((most, column) => Math.max(most, column + 1), 0);
  c.font = `11px ${FONT}`;
  for (let k = 0; k < columns; k++) {
    const x = MARGIN + k * COLUMN - (COLUMN - WIDTH) / 2;
    c.fillStyle = colours.bands[k % 2];
    c.fillRect(x, area.y, COLUMN, area.h);
    c.fillStyle = colours.dim;
    c.fillText(`wave ${k + 1}`, x + (COLUMN - WIDTH) / 2, 16);
  }
}

function paintSeconds(c, scene, colours, area) {
  const { first, last, wide } = scene.scale, span = last - first;
  const rough = span / 8, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((f) => f * power >= rough);
  c.font = `11px ${FONT}`;
  for (let at = 0; at <= span; at += step) {
    const x = MARGIN + at / span * wide;
    c.fillStyle = colours.bands[1];
    c.fillRect(x, area.y, 1, area.h);
    c.fillStyle = colours.dim;
    c.fillText(step < 1 ? `${at.toFixed(2)} s` : `${Math.round(at)} s`, x + 2, 16);
  }
  c.fillText("not begun", MARGIN + wide + 50, 16);
}

export function paintEdges(c, scene, colours, chosen) {
  const g = scene.graph, solid = g.edges.length / 2 - g.dashed, drawn = new Set();
  c.strokeStyle = colours.edge;
  c.lineWidth = 1;
  c.setLineDash([]);
  c.beginPath();
  for (let k = 0; k < g.edges.length / 2; k++) {
    if (k === solid) { c.stroke(); c.beginPath(); c.setLineDash([5, 3]); c.strokeStyle = MARKS[3].colour; }
    const a = scene.at[g.edges[2 * k]], b = scene.at[g.edges[2 * k + 1]];
    if (a === b) continue;
    if (scene.collapsed.size) { // many edges between two groups are one line
      const key = a.key + "\n" + b.key;
      if (drawn.has(key)) continue;
      drawn.add(key);
    }
    curve(c, a, b);
  }
  c.stroke();
  c.setLineDash([]);
  if (!chosen) return;
  c.strokeStyle = colours.ink;
  c.lineWidth = 2;
  c.beginPath();
  for (let k = 0; k < g.edges.length; k += 2) {
    const a = scene.at[g.edges[k]], b = scene.at[g.edges[k + 1]];
    if ((a === chosen || b === chosen) && a !== b) curve(c, a, b);
  }
  c.stroke();
}

function curve(c, a, b) {
  const x1 = a.x + a.w, y1 = a.y + HEIGHT / 2, y2 = b.y + HEIGHT / 2, bend = Math.max(12, Math.abs(b.x - x1) / 2);
  c.moveTo(x1, y1);
  c.bezierCurveTo(x1 + bend, y1, b.x - bend, y2, b.x, y2);
}

// One item. `small`: without text; `faint`: a search is for others.
export function paintItem(c, scene, item, colours, small, chosen, faint) {
  if (faint) c.globalAlpha = .25;
  if (item.nodes) paintGroup(c, scene, item, colours, small, chosen);
  else paintNode(c, scene, item, colours, small, chosen);
  if (faint) c.globalAlpha = 1;
}

function paintNode(c, scene, item, colours, small, chosen) {
  const g = scene.graph, n = item.node, state = STATES[g.codes[n]], mark = MARKS[g.marks[n]];
  if (small) { // a patch of colour, quickly
    c.fillStyle = mark && mark.dash.length ? mark.colour : state.colour;
    c.fillRect(item.x, item.y, item.w, HEIGHT);
    if (chosen) frame(c, item, colours);
    return;
  }
  box(c, item, colours, state.colour, mark ? mark.colour : state.colour, mark ? 2 : 1, mark ? mark.dash : []);
  if (chosen) frame(c, item, colours);
  c.save();
  c.translate(item.x + 13, item.y + HEIGHT / 2);
  c.beginPath();
  c.strokeStyle = c.fillStyle = colours.dark ? "#ffffff" : state.colour;
  c.lineWidth = 2;
  GLYPHS[state.shape](c, 5);
  if (state.shape === "play" || state.shape === "square") c.fill(); else c.stroke();
  c.restore();
  text(c, (mark ? mark.sign + " " : "") + g.names[n], item, colours);
}

// A group: how many nodes, and a bar of how many are in each state, by colour, shape and number.
function paintGroup(c, scene, item, colours, small, chosen) {
  const counts = scene.counts(item.nodes), whole = item.nodes.length;
  box(c, { ...item, x: item.x + 4, y: item.y + 4 }, colours, "#9aa0a6", "#9aa0a6", 1, []); // more lies below
  box(c, item, colours, "#9aa0a6", colours.dim, 1, []);
  const present = counts.filter((count) => count).length, least = Math.min(26, (item.w - 4) / present); // each can be read
  let x = item.x + 2;
  counts.forEach((count, code) => {
    if (!count) return;
    const w = least + count / whole * (item.w - 4 - present * least);
    paintShare(c, STATES[code], count, { x, y: item.y + 15, w, h: HEIGHT - 17 }, colours, small);
    x += w;
  });
  if (chosen) frame(c, item, colours);
  if (!small) text(c, `${item.group} × ${whole}`, item, colours, 8, 12);
}

function paintShare(c, state, count, at, colours, small) {
  c.fillStyle = small ? state.colour : state.colour + (colours.dark ? "88" : "55");
  c.fillRect(at.x, at.y, at.w, at.h);
  const words = String(count), wide = words.length * 6;
  if (small || at.w < wide + 2) return;
  const shaped = at.w >= wide + 13;
  c.fillStyle = c.strokeStyle = colours.ink;
  if (shaped) {
    c.save();
    c.translate(at.x + 7, at.y + at.h / 2);
    c.beginPath();
    c.lineWidth = 1;
    GLYPHS[state.shape](c, 3);
    c.stroke();
    c.restore();
  }
  c.font = `9px ${FONT}`;
  c.fillText(words, at.x + (shaped ? 13 : 2), at.y + at.h - 2);
}

function box(c, item, colours, fill, stroke, width, dash) {
  c.beginPath();
  c.roundRect(item.x, item.y, item.w, HEIGHT, 5);
  c.fillStyle = colours.box; // edges pass behind
  c.fill();
  c.fillStyle = fill + (colours.dark ? "55" : "22");
  c.fill();
  c.strokeStyle = stroke;
  c.lineWidth = width;
  c.setLineDash(dash);
  c.stroke();
  c.setLineDash([]);
}

function frame(c, item, colours) {
  c.strokeStyle = colours.ink;
  c.lineWidth = 2;
  c.strokeRect(item.x - 3, item.y - 3, item.w + 6, HEIGHT + 6);
}

function text(c, words, item, colours, left = 26, down = 18) {
  const most = Math.floor((item.w - left - 4) / 7);
  if (most < 2) return;
  c.fillStyle = colours.ink;
  c.font = `13px ${FONT}`;
  c.fillText(words.length > most ? words.slice(0, most - 1) + "…" : words, item.x + left, item.y + down);
}

export function paintAll(c, scene, colours, chosen, area) {
  paintGround(c, scene, colours, area);
  paintEdges(c, scene, colours, chosen);
  for (const item of scene.items) paintItem(c, scene, item, colours, false, item === chosen, false);
}
