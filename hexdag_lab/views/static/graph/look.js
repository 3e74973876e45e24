// What states and marks look like: colour (Okabe-Ito, safe for colour-blind eyes), shape and word; and whether the page
// around is dark. The order of states is that of views/graph.py.

export const STATES = [
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
export const RUNNING = 2;
export const THUMB = matchMedia("(pointer: coarse), (max-width: 700px)").matches ? 44 : 24; // how high a button is, at least
export const MARKS = [
  null,
  { sign: "+", word: "added", colour: "#009E73", dash: [] },
  { sign: "~", word: "changed", colour: "#E69F00", dash: [] },
  { sign: "?", word: "proposed", colour: "#CC79A7", dash: [5, 3] },
  { sign: "−", word: "would be removed", colour: "#D55E00", dash: [5, 3] },
];
export const FONT = "system-ui,sans-serif";

// Drawn as paths: some fonts have no such characters.
export const GLYPHS = {
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

export function colours(dark) {
  return dark
    ? { dark, ink: "#e6e6e6", dim: "#bdbdbd", box: "#1f1f1f", edge: "#8a8a8a", bands: ["#ffffff05", "#ffffff0d"] }
    : { dark, ink: "#202124", dim: "#5f6368", box: "#ffffff", edge: "#a9adb2", bands: ["#00000004", "#0000000a"] };
}

// The first background that is not transparent, up through shadow roots, says whether the page is dark.
export function isDark(start) {
  for (let at = start; at; at = at.parentNode || at.host) {
    if (!(at instanceof Element)) continue;
    const rgba = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (rgba && (rgba.length < 4 || rgba[3] > 0)) return rgba[0] * .3 + rgba[1] * .6 + rgba[2] * .1 < 128;
  }
  // Nothing has a background. Browsers show white then, and a webview of VS Code its editor, whose theme is a class.
  return document.body.matches(".vscode-dark, .vscode-high-contrast:not(.vscode-high-contrast-light)");
}

export function element(tag, parent, properties = {}, css = "") {
  const made = Object.assign(document.createElement(tag), properties);
  made.style.cssText = css;
  parent.append(made);
  return made;
}
