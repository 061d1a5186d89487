// The companion page: shows the session, and asks the agent for everything that changes it.

import { Link } from "./link.js";
import { make, showHistory, showLooks, showStructures } from "./lists.js";
import { Picture } from "./picture.js";
import { Speech } from "./speech.js";

const TURN_MS = 120; // how long a slice must rest before OsiriX is turned to it
const HEARD_MS = 2000;
const WINDOWS = { CT: [["Soft", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80]] };
const $ = (id) => document.getElementById(id);

const page = { plane: 0, index: [0, 0, 0], planes: [], session: null, windows: [], window: 0, clicked: null };

// -- what the agent says ---------------------------------------------------------------------------------------
const link = new Link({
  state(state) {
    page.link = state;
    showLight();
    veil(
      { on: "", off: page.session ? "The agent does not answer. Trying again…" : "", taken: "This session is open in another tab." }[state],
      state === "taken" && ["Use it here", () => location.reload()],
    );
  },
  message(message) {
    const take = { hello, session, lines, looks, notice: ({ text }) => reply(text), heard };
    take[message.kind]?.(message);
  },
  slice(slice) {
    if (slice.plane !== page.plane || slice.index !== page.index[page.plane]) return; // scrolled on meanwhile
    picture.setSlice(slice, page.planes[slice.plane]);
    document.body.dataset.slice = `${slice.plane}/${slice.index}`;
    document.body.dataset.firstSliceMs ??= performance.now().toFixed(1);
  },
});

function hello(message) {
  const known = page.planes.length > 0;
  page.planes = message.planes;
  Object.assign(page, { voice: message.voice, byPointer: message.pointer });
  $("talk").title = message.voice ? "" : "Voice is not installed";
  $("talk").classList.toggle("plain", !message.voice);
  if (!known) {
    page.index = message.planes.map(({ count }, n) => (n ? Math.floor(count / 2) : message.displayed));
    const [low, high] = message.range;
    page.windows = [...(WINDOWS[message.modality] ?? []), ["Auto", (low + high) / 2, high - low]];
    choices($("planes"), message.planes.map(({ name }) => name[0].toUpperCase() + name.slice(1)), toPlane);
    choices($("windows"), page.windows.map(([name]) => name), toWindow);
    toWindow(0);
  }
  toPlane(page.plane);
}

function session(message) {
  const before = page.session;
  page.session = message;
  showLight();
  if (message.eyes) watchEyes(message.eyes);
  showStructures($("structures"), message, press);
  showHistory($("history"), message, numbered, go, (number) => ask({ do: "take_out", number }));
  $("bands").setAttribute("aria-pressed", String(message.bands));
  document.querySelector('[data-press="undo"]').disabled = !message.undo;
  document.querySelector('[data-press="redo"]').disabled = !message.redo;
  const turned = before && before.displayed !== message.displayed && message.displayed !== page.turned;
  if (turned && page.plane === 0 && !turning) show(0, message.displayed); // she has scrolled in OsiriX
  Object.assign(document.body.dataset, { busy: message.busy, steps: message.undo });
}

function lines(message) {
  if (message.plane !== page.plane || message.index !== page.index[page.plane]) return;
  picture.outlines = message.outlines;
  picture.marks = message.marks;
  picture.draw();
  Object.assign(document.body.dataset, { lines: `${message.plane}/${message.index}`, outlines: message.outlines.length });
  if (page.clicked && message.steps > page.clicked.steps && !message.busy) {
    const { at } = page.clicked;
    page.clicked = null;
    requestAnimationFrame(() => {
      page.pageMs = performance.now() - at;
      document.body.dataset.pageMs = page.pageMs.toFixed(1);
      document.body.dataset.segmentMs = message.segment_ms;
      document.body.dataset.clicks = Number(document.body.dataset.clicks ?? 0) + 1;
      showLight();
    });
  }
}

function looks({ slices }) {
  showLooks($("looks"), slices, numbered, go);
}

function showLight() {
  const { link: state, session } = page;
  const [look, words] =
    state !== "on" ? ["off", state === "taken" ? "open in another tab" : "the agent is away"]
    : !session ? ["wait", "waiting for OsiriX"]
    : session.lost ? ["wait", "OsiriX is away; nothing is lost"]
    : session.busy ? ["wait", "working"]
    : ["on", "connected"];
  $("light").className = `light ${look}`;
  $("light").textContent = words;
  if (!session?.segment_ms) return;
  const here = page.pageMs ? `, click to contour ${(page.pageMs / 1000).toFixed(2)} s` : "";
  $("latency").textContent = `model ${(session.segment_ms / 1000).toFixed(2)} s${here}`;
}

function veil(text, button) {
  $("veil").hidden = !text;
  $("veil").replaceChildren(text ?? "");
  if (button) $("veil").append(make("button", { type: "button", textContent: button[0], onclick: button[1] }));
}

function reply(text, ok = true) {
  $("reply").textContent = text;
  $("reply").classList.toggle("no", !ok);
  $("confirm").hidden = !/Did you mean/.test(text);
}

// -- slices and planes -----------------------------------------------------------------------------------------
let turning = 0;

function show(plane, index, turn = false) {
  const count = page.planes[plane]?.count ?? 0;
  if (!count) return;
  page.plane = plane;
  page.index[plane] = Math.max(0, Math.min(count - 1, index));
  check($("planes"), plane);
  $("slider").max = count - 1;
  $("slider").value = page.index[plane];
  showWhere();
  link.tell({ do: "look", plane, index: page.index[plane] });
  if (turn && plane === 0) {
    clearTimeout(turning);
    turning = setTimeout(async () => {
      page.turned = page.index[0];
      const { ok, said } = await link.ask({ do: "look", plane: 0, index: page.turned, turn: true });
      turning = 0;
      setTimeout(() => (page.turned = null), 5 * TURN_MS);
      if (!ok) reply(said, false);
    }, TURN_MS);
  }
}

/** A slice's number as OsiriX gives it. */
function numbered(k) {
  return page.session?.flipped ? page.planes[0].count - k : k + 1;
}

function showWhere([row, column] = page.pointer ?? []) {
  const plane = page.planes[page.plane];
  const at = row === undefined || $("stage").clientWidth < 520 ? "" : `   row ${Math.round(row)}, column ${Math.round(column)}`;
  const number = page.plane ? page.index[page.plane] + 1 : numbered(page.index[0]);
  $("where").textContent = `${plane.name} ${number} of ${plane.count}${at}`;
}

addEventListener("resize", () => page.planes.length && showWhere());

const toPlane = (plane) => show(plane, page.index[plane]);
const scroll = (by) => show(page.plane, page.index[page.plane] + by, true);
const go = (k) => show(0, k, true);

// -- asking ----------------------------------------------------------------------------------------------------
async function ask(message) {
  const { ok, said } = await link.ask(message);
  if (said || !ok) reply(said, ok);
  return ok;
}

const press = (verb, name) => ask({ do: "press", verb, ...(name && { name }) });

const picture = new Picture($("picture"), {
  sketch(shape, points, include) {
    if (!page.session) return;
    page.clicked = { at: performance.now(), steps: page.session.undo };
    reply("");
    ask({ do: "draw", shape, plane: page.plane, index: page.index[page.plane], points, include });
  },
  scroll,
  refused: (text) => reply(text, false),
  windowed: (level, width) => (picture.setWindow(level, width), check($("windows"), -1)),
  moved: (place) => showWhere((page.pointer = place)),
});

function toWindow(n) {
  page.window = n;
  const [, level, width] = page.windows[n];
  picture.setWindow(level, width);
  check($("windows"), n);
}

// -- groups of choices -----------------------------------------------------------------------------------------
function choices(group, names, choose) {
  group.replaceChildren(
    ...names.map((name, n) => make("button", { type: "button", role: "radio", textContent: name, onclick: () => choose(n) })),
  );
}

function check(group, chosen) {
  [...group.children].forEach((button, n) => button.setAttribute("aria-checked", String(n === chosen)));
}

function toShape(shape) {
  picture.stop();
  picture.shape = shape;
  check($("shapes"), [...$("shapes").children].findIndex((one) => one.dataset.shape === shape));
}

function toSign(include) {
  picture.include = include;
  check($("signs"), include ? 0 : 1);
}

for (const one of $("shapes").children) one.onclick = () => toShape(one.dataset.shape);
for (const one of $("signs").children) one.onclick = () => toSign(one.dataset.include === "yes");
for (const one of document.querySelectorAll("[data-press]")) one.onclick = () => press(one.dataset.press);
for (const one of document.querySelectorAll("[data-say]")) one.onclick = () => say(one.dataset.say);
$("slider").oninput = () => show(page.plane, Number($("slider").value), true);
$("keys").onclick = () => $("help").showModal();
$("new").onclick = () => {
  $("sentence").value = "new structure ";
  $("sentence").focus();
};
toShape("point");
toSign(true);

// -- words -----------------------------------------------------------------------------------------------------
let acting = 0;
let confidence = 1;

async function say(text, heard = 1) {
  clearTimeout(acting);
  if (!text.trim()) return;
  if (await ask({ do: "say", text: text.trim(), heard })) $("sentence").value = "";
  $("heard").textContent = "Say or type";
}

function heard(message) {
  if (!message.text) {
    $("heard").textContent = "Say or type";
    return reply(message.said, false);
  }
  confidence = message.confidence;
  $("heard").textContent = `Heard (${Math.round(100 * confidence)} % sure); correct it, or Enter`;
  $("sentence").value = message.text;
  $("sentence").focus();
  $("sentence").select();
  if ($("at-once").checked) acting = setTimeout(() => say($("sentence").value, confidence), HEARD_MS);
}

$("sentence").oninput = () => {
  clearTimeout(acting);
  confidence = 1; // she has corrected it: it is typed now
};
$("say").onsubmit = (event) => {
  event.preventDefault();
  say($("sentence").value, confidence);
  confidence = 1;
};

const speech = new Speech({
  sound(samples) {
    $("heard").textContent = "Listening to what was said…";
    link.sound(samples);
  },
  refused: (text) => reply(text, false),
  state(on) {
    $("talk").classList.toggle("hot", on);
    $("talk").setAttribute("aria-pressed", String(on));
    $("talk").firstChild.textContent = on ? "Listening… let go to end " : "Hold to talk ";
  },
});

function talk(on) {
  if (on && !page.voice) return reply("Voice is not installed: type instead.", false);
  return on ? speech.press() : speech.release();
}

$("talk").onpointerdown = (event) => {
  $("talk").setPointerCapture(event.pointerId);
  talk(true);
};
$("talk").onpointerup = $("talk").onpointercancel = () => talk(false);
addEventListener("blur", () => speech.release());

// -- the eyes, where a tracker watches them ----------------------------------------------------------------------
let gaze = null;

async function watchEyes(eyes) {
  gaze ??= import("./gaze.js").then(({ Gaze }) => new Gaze({ link, reply, shown, byPointer: page.byPointer }));
  (await gaze).show(eyes);
}

/** What lies where, unless something covers it. */
const shown = () => (document.hidden || !$("veil").hidden || document.querySelector("dialog[open]") ? null : picture.extent());

// -- the keyboard ----------------------------------------------------------------------------------------------
const KEYS = {
  ArrowUp: () => scroll(-1), ArrowDown: () => scroll(1), PageUp: () => scroll(-10), PageDown: () => scroll(10),
  1: () => toShape("point"), 2: () => toShape("box"), 3: () => toShape("scribble"),
  i: () => toSign(true), e: () => toSign(false), v: () => toPlane((page.plane + 1) % page.planes.length),
  w: () => toWindow((page.window + 1) % page.windows.length), c: () => picture.toggleCross(),
  u: () => press("undo"), r: () => press("redo"), a: () => press("accept"), n: () => press("next"),
  b: () => press("isolines"), l: () => press("lock"), "/": () => $("sentence").focus(),
  y: () => $("confirm").hidden || say("yes"), "?": () => $("help").showModal(),
  "+": () => picture.zoom(1.25), "-": () => picture.zoom(0.8), 0: () => picture.whole(),
  g: () => gaze?.then((eyes) => eyes.calibrate()),
};
const CROSS = {
  ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
};

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input[type=text]");
  if (event.key === "Escape") {
    clearTimeout(acting);
    if (typing) $("picture").focus();
    if (picture.cross) picture.toggleCross();
    picture.stop();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
    event.preventDefault();
    return press(event.shiftKey ? "redo" : "undo");
  }
  if (typing || $("help").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && !event.target.matches("button:not(#talk), input")) {
    event.preventDefault();
    if (!event.repeat) talk(true);
    return;
  }
  if (picture.cross && event.target === $("picture")) {
    if (CROSS[event.key]) {
      event.preventDefault();
      const step = event.shiftKey ? 10 : 1;
      return picture.moveCross(...CROSS[event.key].map((by) => by * step));
    }
    if (event.key === "Enter" && !event.repeat) return picture.placeCross();
  }
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.target === $("slider") && event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  if (event.repeat && !/^(Arrow|Page)/.test(event.key)) return;
  act();
  if (event.key === "c") $("picture").focus();
});
addEventListener("keyup", (event) => {
  if (event.key === " ") talk(false);
});
