// The script of a report: it plays what views/report.py has recorded to the same graph component as everywhere.

const data = JSON.parse(document.getElementById("data").textContent);
const { frames, events, lines } = data;
const byId = (id) => document.getElementById(id);
const MOST = 300; // lines of a list
let frame = frames.length - 1, node = null, playing = 0, sent = 0, tell = () => {};

// The graph as it was: the latest whole one before, with what has changed since.
function graphAt(number) {
  let first = number;
  while (first > 0 && !frames[first].graph.some((m) => m.t === "graph")) first--;
  const graph = structuredClone(frames[first].graph.find((m) => m.t === "graph"));
  for (let k = first; k <= number; k++) {
    for (const message of frames[k].graph) {
      if (message.t !== "delta") continue;
      graph.head = message.head;
      for (const [n, code, began, seconds] of message.nodes) {
        graph.codes[n] = code;
        graph.began[n] = began;
        graph.seconds[n] = seconds;
      }
    }
  }
  return { ...graph, seq: ++sent };
}

function last(key, number) {
  while (number > 0 && frames[number][key] === undefined) number--;
  return frames[number][key];
}

function show(number) {
  frame = number;
  const { seq, at, head } = frames[frame];
  byId("slider").value = frame;
  byId("head").innerHTML = head;
  const cards = last("cards", frame);
  if (byId("cards").innerHTML !== cards) byId("cards").innerHTML = cards;
  byId("when").textContent = `event ${seq}, ${new Date(at * 1000).toLocaleTimeString()}`;
  const [from, to] = data.time;
  const ticks = document.querySelector(".ticks");
  if (ticks && to > from) {
    const left = ticks.getBoundingClientRect(), outer = byId("cursor").parentElement.getBoundingClientRect();
    byId("cursor").style.left = `${left.left - outer.left + Math.min(1, Math.max(0, (at - from) / (to - from))) * left.width}px`;
  }
  read(seq, at);
  tell(graphAt(frame));
}

function read(seq, at) {
  const seen = events.filter((e) => e[0] <= seq && (node === null || e[2] === node)).slice(-MOST).reverse();
  byId("events").textContent = seen.map(([n, text]) => `${String(n).padStart(5)} ${text}`).join("\n");
  const said = lines.filter((l) => l[0] <= at && (node === null || l[1] === node)).slice(-MOST);
  byId("lines").textContent = said.map(([, name, text]) => `${name} | ${text}`).join("\n");
  byId("of").textContent = node === null ? "Events" : `Events of ${node}`;
}

const model = {
  get: () => undefined,
  on: (kind, heard) => { if (kind === "msg:custom") tell = heard; },
  off: () => {},
  send: (message) => {
    if (message.t !== "select") return;
    node = message.node;
    read(frames[frame].seq, frames[frame].at);
  },
};
render({ model, el: byId("graph") });
byId("slider").max = frames.length - 1;
byId("slider").addEventListener("input", (event) => show(Number(event.target.value)));
byId("play").addEventListener("click", () => {
  if (playing) { clearInterval(playing); playing = 0; byId("play").textContent = "Play"; return; }
  if (frame === frames.length - 1) frame = -1;
  byId("play").textContent = "Stop";
  playing = setInterval(() => (frame < frames.length - 1 ? show(frame + 1) : byId("play").click()), 120);
});
addEventListener("resize", () => show(frame));
show(frame);
