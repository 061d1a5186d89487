// The one connection to the agent: messages, pictures, and the answer to each thing that was asked.

const AGAIN_MS = 1000;
const TAKEN_OVER = 4001;

export class Link {
  #socket = null;
  #asked = new Map();
  #next = 1;

  /** @param {{message, slice, state}} told  state: "on", "off" (tried again) or "taken" (by another tab) */
  constructor(told) {
    this.told = told;
    this.open();
  }

  open() {
    const socket = new WebSocket(`ws://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.told.state("on");
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = ({ code }) => {
      for (const answer of this.#asked.values()) answer({ ok: false, said: "The agent went away. See the light above." });
      this.#asked.clear();
      if (code === TAKEN_OVER) return this.told.state("taken");
      this.told.state("off");
      setTimeout(() => this.open(), AGAIN_MS);
    };
    this.#socket = socket;
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Ask; resolves to {ok, said}. */
  ask(message) {
    if (!this.isOpen) return Promise.resolve({ ok: false, said: "The agent is away. See the light above." });
    const id = this.#next++;
    this.#socket.send(JSON.stringify({ id, ...message }));
    return new Promise((resolve) => this.#asked.set(id, resolve));
  }

  /** Say what needs no answer. */
  tell(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  /** 16-bit samples, 16 kHz, one channel. */
  sound(samples) {
    if (this.isOpen) this.#socket.send(samples);
  }

  #take(data) {
    if (data instanceof ArrayBuffer) {
      const [plane, index, rows, columns] = new Uint32Array(data, 0, 4);
      this.told.slice({ plane, index, rows, columns, values: new Float32Array(data, 16) });
      return;
    }
    const message = JSON.parse(data);
    if (message.kind === "answer") {
      this.#asked.get(message.id)?.(message);
      this.#asked.delete(message.id);
    } else this.told.message(message);
  }
}
