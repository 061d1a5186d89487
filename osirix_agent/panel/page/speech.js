// Push-to-talk: the microphone is open only while the button is held.

const RATE = 16000;
const LONGEST_MS = 30000;
const SHORTEST_S = 0.2;
const REFUSALS = {
  NotAllowedError: "The microphone is denied. Allow it for this page in the address bar, or type.",
  NotFoundError: "There is no microphone. Plug one in, or type.",
  NotReadableError: "Another program holds the microphone. Close that, or type.",
};

export class Speech {
  #held = null;

  /** @param {{sound, refused, state}} told  state: true while it listens */
  constructor(told) {
    this.told = told;
  }

  async press() {
    if (this.#held) return;
    const held = (this.#held = { blocks: [] });
    try {
      const constraints = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
      held.stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
      held.context = new AudioContext();
      await held.context.audioWorklet.addModule("recorder.js");
      const node = new AudioWorkletNode(held.context, "recorder", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => held.blocks.push(data);
      held.context.createMediaStreamSource(held.stream).connect(node);
    } catch (error) {
      this.#close(held);
      if (this.#held === held) this.#held = null;
      this.told.state(false);
      this.told.refused(REFUSALS[error.name] ?? `The microphone cannot be used (${error.name}). Type instead.`);
      return;
    }
    if (this.#held !== held) return this.#close(held); // let go before the microphone was there
    this.told.state(true);
    held.end = setTimeout(() => {
      this.told.refused("Half a minute is the most at once.");
      this.release();
    }, LONGEST_MS);
  }

  async release() {
    const held = this.#held;
    if (!held) return;
    this.#held = null;
    clearTimeout(held.end);
    this.told.state(false);
    if (!held.context) return; // still being asked for
    const rate = held.context.sampleRate;
    this.#close(held);
    const count = held.blocks.reduce((sum, block) => sum + block.length, 0);
    if (count < SHORTEST_S * rate) return this.told.refused("Hold the button while you speak.");
    const samples = new Float32Array(count);
    held.blocks.reduce((at, block) => (samples.set(block, at), at + block.length), 0);
    if (!samples.some((value) => value !== 0)) {
      return this.told.refused("The microphone gives only silence. Check its switch and the system's settings, or type.");
    }
    this.told.sound(to16bit(await resampled(samples, rate)));
  }

  #close(held) {
    held.stream?.getTracks().forEach((track) => track.stop());
    held.context?.close();
  }
}

async function resampled(samples, rate) {
  const context = new OfflineAudioContext(1, Math.ceil((samples.length * RATE) / rate), RATE);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

function to16bit(samples) {
  const found = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((value, n) => found.setInt16(2 * n, Math.max(-1, Math.min(1, value)) * 32767, true));
  return found.buffer;
}
