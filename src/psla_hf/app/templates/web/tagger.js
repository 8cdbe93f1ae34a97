// Waveforms to tags and scores over time, by the model's graph. Knows no page.

import * as ort from "./onnxruntime-web/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./onnxruntime-web/", import.meta.url).href;
ort.env.wasm.numThreads = 1; // more need a server that isolates the page

export class Tagger {
  /** The tagger of this folder. */
  static async load() {
    const settings = await (await fetch(new URL("./tagger.json", import.meta.url))).json();
    const session = await ort.InferenceSession.create(new URL("./model/model.onnx", import.meta.url).href);
    return new Tagger(settings, session);
  }

  constructor(settings, session) {
    this.labels = settings.labels;
    this.samplingRate = settings.sampling_rate;
    this.settings = settings;
    this.session = session;
  }

  /** Mono samples at the model's rate of an encoded sound, an ArrayBuffer; channels are averaged. */
  async decode(encoded) {
    if (!encoded.byteLength) throw new Error("it is empty");
    const context = new OfflineAudioContext(1, 1, this.samplingRate);
    const sound = await context.decodeAudioData(encoded).catch(() => {
      throw new Error("the browser cannot decode it as audio");
    });
    const samples = new Float32Array(sound.length);
    for (let channel = 0; channel < sound.numberOfChannels; channel++) {
      sound.getChannelData(channel).forEach((value, at) => (samples[at] += value / sound.numberOfChannels));
    }
    if (!samples.every(Number.isFinite)) throw new Error("it has samples that are no numbers");
    return samples;
  }

  /**
   * Tag samples window by window, as AudioTagger.recordings(timeline=True) does: windows overlap by half, and the last
   * one is padded. Yields after each window what is known so far: `probabilities`, the highest of each class; `scores`,
   * of each step and class; `stepSeconds`; and the `share` of the sound that is done.
   */
  async *hear(samples) {
    const { window_samples: size, step_samples: step, steps_to_next_window: hop } = this.settings;
    const line = new Stitcher(this.labels.length);
    const probabilities = new Float32Array(this.labels.length);
    const isOneWindow = samples.length < size + this.settings.frame_hop_samples; // the last frame begins before the window's end
    for (let start = 0, next; ; start = next) {
      const window = await this.score(isOneWindow ? samples : samples.subarray(start, start + size));
      window.probabilities.forEach((value, k) => (probabilities[k] = Math.max(probabilities[k], value)));
      line.push(Math.round(start / step), window.scores, window.steps);
      next = start + Math.round(hop * step);
      const isLast = isOneWindow || start + size >= samples.length;
      yield {
        probabilities,
        scores: line.scores(Math.ceil(samples.length / step)),
        stepSeconds: step / this.samplingRate,
        share: isLast ? 1 : Math.min(1, next / samples.length),
      };
      if (isLast) return;
    }
  }

  /** Probabilities [K] and scores [steps × K] of one window; those of a graph without frame scores are one step. */
  async score(samples) {
    const output = await this.session.run({
      waveforms: new ort.Tensor("float32", samples, [1, samples.length]),
      lengths: new ort.Tensor("int64", BigInt64Array.of(BigInt(samples.length)), [1]),
    });
    const frames = output.frame_scores ?? output.probabilities;
    return {
      probabilities: output.probabilities.data,
      scores: frames.data,
      steps: frames.data.length / this.labels.length,
    };
  }
}

/** Joins the scores of overlapping windows by their mean, in which the middle of a window weighs most. */
class Stitcher {
  constructor(classes) {
    this.classes = classes;
    this.sums = []; // of each step [K]
    this.weights = [];
    this.means = []; // of each step [K], new arrays where a window changed them
  }

  push(first, scores, steps) {
    for (let step = 0; step < steps; step++) {
      const weight = Math.min(step + 1, steps - step);
      const sum = (this.sums[first + step] ??= new Float64Array(this.classes));
      this.weights[first + step] = (this.weights[first + step] ?? 0) + weight;
      for (let k = 0; k < this.classes; k++) sum[k] += weight * scores[step * this.classes + k];
      this.means[first + step] = sum.map((value) => value / this.weights[first + step]);
    }
  }

  /** Of each step [K], without the padding behind the sound. */
  scores(steps) {
    return this.means.slice(0, steps);
  }
}
