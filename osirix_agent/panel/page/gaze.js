// The eyes: calibrates them by dots, and tells the agent what lies where for as long as that holds.
// Loaded only where an eye tracker is watched. Places are CSS pixels of the viewport.

import { make } from "./lists.js";

const STATES = { sound: "watching", away: "no eyes", frozen: "stands still" };
const [LOW, MIDDLE, HIGH] = [0.08, 0.5, 0.92]; // of the page's width and height
const DOTS = [
  [MIDDLE, MIDDLE], [LOW, LOW], [HIGH, LOW], [HIGH, HIGH], [LOW, HIGH], [MIDDLE, LOW], [HIGH, MIDDLE], [MIDDLE, HIGH], [LOW, MIDDLE],
];
const ARRIVE_MS = 800; // for the eyes to reach a dot
const REST_MS = 1000;
const LOOK_MS = 50; // between two looks at where window and picture are
const STILL_MS = 100; // so long the picture must keep still before it is told

export class Gaze {
  #pose = null; // of the window that was calibrated
  #px = null;
  #running = false;
  #before = "null";
  #since = 0;
  #told = "null";

  /**
   * @param {{link, reply, shown, byPointer}} page  shown: {plane, index, corner, size, box} of the picture, or null;
   *   byPointer: does the mouse pointer stand for the eyes?
   */
  constructor(page) {
    this.page = page;
    this.words = make("span", { id: "eyes", className: "quiet" });
    this.button = make("button", { id: "calibrate", type: "button", className: "plain", onclick: () => this.calibrate() },
      "Calibrate the eyes ", make("kbd", { textContent: "G" }));
    document.querySelector("header .grow").before(this.words, this.button);
    document.querySelector("#help dl").append(
      make("div", {}, make("dt", {}, make("kbd", { textContent: "G" })), make("dd", { textContent: "calibrate the eyes" })),
    );
    if (page.byPointer) addEventListener("pointermove", ({ screenX, screenY }) => {
      page.link.tell({ do: "pointer", at: [screenX / screen.width, screenY / screen.height] });
    });
    setInterval(() => this.#watch(), LOOK_MS);
    document.addEventListener("visibilitychange", () => this.#watch()); // timers are slow in a hidden tab
  }

  /** What the agent says of them. */
  show({ state, calibrated_px }) {
    this.#px = calibrated_px;
    const good = calibrated_px === null ? "not calibrated" : `calibrated to ${calibrated_px.toFixed(0)} px`;
    this.words.textContent = `eye tracker: ${STATES[state]}, ${good}`;
    this.button.classList.toggle("main", calibrated_px === null);
    document.body.dataset.calibrated = calibrated_px !== null;
  }

  /** Nine dots, about twenty seconds. */
  async calibrate() {
    if (this.#running) return;
    this.#running = true;
    this.#pose = null;
    const began = pose();
    const dot = make("span", { className: "dot" });
    const field = make("dialog", { id: "dots" }, make("p", { textContent: "Look at each dot until it moves, and keep your head still. Esc stops." }), dot);
    field.onkeydown = (event) => {
      event.stopPropagation(); // no key does anything else meanwhile
      if (event.key === "Escape") field.close();
    };
    document.body.append(field);
    field.showModal();
    try {
      await this.#step({ step: "begin" });
      for (const [right, down] of DOTS) {
        const at = [Math.round(right * innerWidth), Math.round(down * innerHeight)];
        [dot.style.left, dot.style.top] = at.map((px) => `${px}px`);
        dot.replaceWith(dot); // its ring closes anew
        await rest(ARRIVE_MS);
        await this.#step({ step: "aim", at });
        await rest(REST_MS);
        await this.#step({ step: "seen" });
        if (!field.open) throw new Error("The eyes are not calibrated: it was stopped.");
        if (pose() !== began) throw new Error("The window was moved or resized meanwhile: calibrate the eyes again.");
      }
      const said = await this.#step({ step: "fit" });
      this.#pose = began;
      this.page.reply(said);
    } catch (error) {
      this.page.link.tell({ do: "calibrate", step: "forget" });
      this.page.reply(error.message, false);
    } finally {
      field.remove();
      this.#running = false;
    }
  }

  async #step(step) {
    const { ok, said } = await this.page.link.ask({ do: "calibrate", ...step });
    if (!ok) throw new Error(said);
    return said;
  }

  #watch() {
    if (this.#px === null || this.#pose === null) {
      this.#told = "null";
      return;
    }
    if (pose() !== this.#pose) {
      this.#pose = null;
      this.page.link.tell({ do: "calibrate", step: "forget" });
      return this.page.reply("The window was moved or resized: calibrate the eyes again.", false);
    }
    const now = JSON.stringify(this.page.shown());
    if (now !== this.#before) {
      [this.#before, this.#since] = [now, performance.now()];
      if (this.#told !== "null") this.#say("null"); // nothing, until it keeps still
    } else if (now !== this.#told && performance.now() - this.#since >= STILL_MS) this.#say(now);
  }

  #say(shown) {
    this.#told = shown;
    document.body.dataset.told = shown;
    this.page.link.tell({ do: "visible", ...JSON.parse(shown) });
  }
}

/** Where the window is on the screen; the calibration holds for as long as this does. */
function pose() {
  return [screenX, screenY, innerWidth, innerHeight, devicePixelRatio, visualViewport?.scale].join();
}

function rest(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
