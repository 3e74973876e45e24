// The slider over time: the browser's own, so that keys and screen readers know it. It reaches to the last event, and stays
// there unless somebody looks back.

const said = (value, end) => `as of event ${value} of ${end}`;

function render({ model, el }) {
  const box = document.createElement("label"), text = document.createElement("span"), range = document.createElement("input");
  box.style.cssText = "display:flex;gap:10px;align-items:center;width:100%;font:13px system-ui,sans-serif";
  text.style.cssText = "white-space:nowrap;font-variant-numeric:tabular-nums";
  Object.assign(range, { type: "range", min: 1 });
  range.style.cssText = "flex:1;min-width:80px;accent-color:#0072b2";
  if (matchMedia("(pointer: coarse), (max-width: 700px)").matches) range.style.height = "44px"; // a thumb's
  box.append(text, range);
  el.append(box);
  const show = () => {
    range.max = model.get("end");
    range.value = model.get("value");
    text.textContent = said(model.get("value"), model.get("end"));
    text.style.minWidth = `${said(model.get("end"), model.get("end")).length}ch`; // else a digit more moves the slider
  };
  range.addEventListener("input", () => {
    model.set("value", Number(range.value));
    model.save_changes();
    text.textContent = said(range.value, range.max);
  });
  for (const name of ["value", "end"]) model.on(`change:${name}`, show);
  show();
}

export default { render };
