// Deciding by keyboard: a approves, r rejects and c asks for changes (both go to the reason first, where Enter does it),
// e edits, n and p go from card to card. Only real buttons are pressed, so nothing can be done here that a hand could not
// do. Keys count while nothing that takes text has the focus, and can be turned off, here.

const CHOICES = { r: "reject", c: "request_changes" };
const ASKS = { reject: "why not? Enter rejects", request_changes: "what should change? Enter asks for it" };

function* deep(root) {
  for (const each of root.querySelectorAll("*")) {
    yield each;
    if (each.shadowRoot) yield* deep(each.shadowRoot);
  }
}
const within = (root, name) => [...deep(root.shadowRoot ?? root)].find((e) => e.classList?.contains(name));
const seen = (element) => element.getClientRects().length > 0;
const cards = () => [...deep(document)].filter((e) => e.classList?.contains("hx-card") && seen(e) && seen(within(e, "hx-approve") ?? e));

function focused() {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at;
}
const holds = (card, element) => { for (let at = element; at; at = at.parentNode ?? at.host) if (at === card) return true; return false; };
const current = (all) => all.find((card) => holds(card, focused())) ?? all[0];
const inner = (host, tag) => [...deep(host.shadowRoot ?? host)].find((e) => e.localName === tag);

function press(card, name) { inner(within(card, `hx-${name}`), "button")?.click(); }

function ask(card, choice) {
  const input = inner(within(card, "hx-reason"), "input");
  if (!input) return;
  input.placeholder = ASKS[choice];
  input.focus();
  input.onkeydown = (event) => {
    if (event.key === "Escape") input.blur();
    if (event.key !== "Enter") return;
    input.blur(); // what was typed is sent first
    setTimeout(() => press(card, choice));
  };
}

function render({ el }) {
  const label = document.createElement("label"), box = document.createElement("input");
  label.style.cssText = "display:flex;gap:6px;align-items:center;font:13px system-ui,sans-serif";
  Object.assign(box, { type: "checkbox", checked: true });
  label.append(box, "keys: a approve, r reject, c changes, e edit, n and p next");
  if (matchMedia("(hover: none)").matches) label.style.display = "none"; // hands without keys need not read of them
  el.append(label);
  const heard = (event) => {
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = focused();
    if (at !== box && (/^(input|select|textarea)$/.test(at?.localName ?? "") || at?.isContentEditable)) return;
    const all = cards(), card = current(all);
    if (!card) return;
    if (event.key === "a") press(card, "approve");
    else if (event.key === "e") press(card, "edit");
    else if (CHOICES[event.key]) ask(card, CHOICES[event.key]);
    else if (event.key === "n" || event.key === "p") {
      const next = all[(all.indexOf(card) + (event.key === "n" ? 1 : all.length - 1)) % all.length];
      inner(within(next, "hx-approve"), "button")?.focus();
      next.scrollIntoView({ block: "nearest" });
    } else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", heard);
  return () => document.removeEventListener("keydown", heard);
}

export default { render };
