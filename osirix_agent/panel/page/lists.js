// Structures, history and where to look, as lists of buttons.

const KINDS = { point: "Point", box: "Box", scribble: "Stroke", lasso: "Outline", mask: "Contour", shape: "Edit", text: "Words" };

const VERDICTS = { ok: "✓ ok", review: "⚠ for review", withheld: "✕ withheld" };

export function make(tag, given = {}, ...children) {
  const { data = {}, ...rest } = given;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  element.append(...children);
  return element;
}

/** Replace a list's rows; what had the focus has it again if it is still there. */
function fill(list, rows, empty) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...(rows.length ? rows : [make("li", { className: "empty", textContent: empty })]));
  if (focused) [...list.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
}

export function showStructures(list, session, press) {
  const rows = session.structures.map((one) => {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = `rgb(${one.colour})`;
    const name = make("button", { type: "button", className: "name", data: { key: `use ${one.name}` } }, swatch, make("span", { textContent: one.name }));
    name.setAttribute("aria-pressed", String(one.name === session.active));
    name.title = "Make it the active one";
    name.onclick = () => press("use", one.name);
    const verb = one.locked ? "unlock" : one.accepted ? "reopen" : "lock";
    const button = make("button", { type: "button", textContent: { lock: "Lock", unlock: "Unlock", reopen: "Reopen" }[verb], data: { key: `${verb} ${one.name}` } });
    button.disabled = one.cm3 === null && !one.edited.length && verb === "lock";
    button.onclick = () => press(verb, one.name);
    return make("li", {}, name, button, facts(one));
  });
  fill(list, rows, "None yet.");
}

function facts(one) {
  const line = make("p", { className: "facts" });
  line.style.margin = "0";
  if (one.cm3 === null && !one.edited.length) line.append("no contour yet");
  else if (one.cm3 !== null) {
    line.append(`${one.cm3.toFixed(one.cm3 < 10 ? 2 : 1)} cm³`);
    if (one.interval_cm3) line.append(` (${one.interval_cm3[0]} to ${one.interval_cm3[1]})`);
    line.append(` on ${one.slices} slices`);
  }
  const word = (text, strong = false, title = "") => {
    line.append(make("span", { className: strong ? "word strong" : "word", textContent: text, title }));
  };
  if (one.edited.length) word(`${one.edited.length} edited by you`);
  if (one.locked) word("🔒 locked", true);
  if (one.accepted) word("✓ accepted", true);
  else if (one.verdict_said) word(VERDICTS[one.verdict] ?? "not calibrated", one.verdict === "review" || one.verdict === "withheld", one.verdict_said);
  return line;
}

export function showHistory(list, session, numbered, go, takeOut) {
  const rows = session.prompts.toSorted((a, b) => b.number - a.number).map((one) => {
    const where = one.k === null ? "" : `, slice ${numbered(one.k)}`;
    const what = one.words ? `“${one.words}”` : KINDS[one.kind].toLowerCase();
    const sign = make("span", { className: "sign", textContent: one.include ? "+" : "−" });
    const show = make("button", { type: "button", className: "go", data: { key: `go ${one.number}` } }, sign, `${what}, ${one.structure}${where}`);
    show.setAttribute("aria-label", `${one.include ? "include" : "exclude"}, ${what}, ${one.structure}${where}: show`);
    show.disabled = one.k === null;
    show.onclick = () => go(one.k);
    const out = make("button", { type: "button", textContent: "Take out", data: { key: `out ${one.number}` } });
    out.disabled = one.closed;
    out.onclick = () => takeOut(one.number);
    return make("li", { className: one.closed ? "closed" : "" }, show, out);
  });
  fill(list, rows, "Nothing drawn or said yet.");
}

export function showLooks(place, slices, numbered, go) {
  const buttons = slices.map(({ k, band_mm, side }) => {
    const width = band_mm === null ? "" : `, ± ${(band_mm / 2).toFixed(1)} mm`;
    const button = make("button", { type: "button", textContent: `slice ${numbered(k)}${width}${side ? `, ${side}` : ""}` });
    button.onclick = () => go(k);
    return button;
  });
  place.replaceChildren(...(buttons.length ? buttons : [make("span", { className: "empty", textContent: "Nothing uncertain to show yet." })]));
}
