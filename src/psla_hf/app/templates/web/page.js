// The page: files and recordings go to the tagger, its tags and its time line are shown as they come.

import { Tagger } from "./tagger.js";

const SHOWN_TAGS = 10;
const SHOWN_ROWS = 8;
const ROW_HEIGHT = 27.2; // 1.7rem
const REDRAWN_MS = 250; // at most so often: of a long sound all of it is drawn anew each time

const at = (id) => document.getElementById(id);
let tagger;
let heard; // what is shown
let rows = []; // classes in its time line
let seconds; // the length of its sound

async function show(blob, name) {
  setBusy(true);
  at("error").textContent = "";
  at("result").hidden = at("player").hidden = true;
  try {
    const samples = await tagger.decode(await blob.arrayBuffer());
    seconds = samples.length / tagger.samplingRate;
    at("player").src = URL.createObjectURL(blob);
    at("result").hidden = at("player").hidden = false;
    let drawn = -Infinity;
    for await (heard of tagger.hear(samples)) {
      if (heard.share < 1 && performance.now() - drawn < REDRAWN_MS) continue;
      at("status").textContent = `Tagging ${name}: ${Math.round(100 * heard.share)} %`;
      showTags();
      showTimeLine();
      await new Promise((resolve) => setTimeout(resolve)); // lets the browser draw
      drawn = performance.now();
    }
    at("status").textContent = `${name}, ${seconds.toFixed(1)} s`;
  } catch (error) {
    at("error").textContent = `${name} could not be tagged: ${error.message}.`;
    at("status").textContent = "";
  }
  setBusy(false);
}

function strongest(scores, number) {
  return [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, number);
}

function showTags() {
  at("tags").replaceChildren(
    ...strongest(heard.probabilities, SHOWN_TAGS).flatMap((k) => {
      const score = heard.probabilities[k];
      const meter = Object.assign(document.createElement("meter"), { value: score });
      meter.setAttribute("aria-label", tagger.labels[k]);
      return [element("span", tagger.labels[k]), meter, element("span", score.toFixed(3))];
    }),
  );
}

function showTimeLine() {
  const peaks = new Float64Array(tagger.labels.length);
  for (const step of heard.scores) step.forEach((score, k) => (peaks[k] = Math.max(peaks[k], score)));
  rows = strongest(peaks, SHOWN_ROWS);
  at("rows").replaceChildren(...rows.map((k) => element("span", tagger.labels[k])));
  at("axis").replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => element("span", clock(part * seconds))));
  draw();
}

function draw() {
  const canvas = at("scores");
  const scale = window.devicePixelRatio;
  const width = canvas.clientWidth;
  canvas.style.height = `${rows.length * ROW_HEIGHT}px`;
  canvas.width = width * scale;
  canvas.height = rows.length * ROW_HEIGHT * scale;
  const drawing = canvas.getContext("2d");
  drawing.scale(scale, scale);
  const step = (heard.stepSeconds / seconds) * width;
  rows.forEach((k, row) => {
    heard.scores.forEach((scores, number) => {
      drawing.fillStyle = `hsl(173 80% ${12 + 60 * scores[k]}%)`;
      const left = Math.round(number * step);
      drawing.fillRect(left, row * ROW_HEIGHT + 1, Math.round((number + 1) * step) - left, ROW_HEIGHT - 2);
    });
  });
  if (!at("player").paused) {
    drawing.fillStyle = "#f97316";
    drawing.fillRect((at("player").currentTime / seconds) * width - 1, 0, 2, canvas.clientHeight);
  }
  canvas.onclick = (event) => (at("player").currentTime = (event.offsetX / width) * seconds);
}

function follow() {
  draw();
  if (!at("player").paused) requestAnimationFrame(follow);
}

function clock(time) {
  if (seconds < 60) return `${time.toFixed(1)} s`;
  return `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;
}

function element(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}

function setBusy(isBusy) {
  at("file").disabled = at("record").disabled = isBusy;
}

async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const pieces = [];
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = () => {
    stream.getTracks().forEach((track) => track.stop());
    at("record").textContent = "Record";
    at("record").onclick = start;
    show(new Blob(pieces, { type: recorder.mimeType }), "The recording");
  };
  recorder.start();
  at("record").textContent = "Stop";
  at("record").onclick = () => recorder.stop();
}

function start() {
  record().catch((error) => (at("error").textContent = `There is no microphone: ${error.message}.`));
}

at("file").onchange = () => at("file").files.length && show(at("file").files[0], at("file").files[0].name);
at("record").onclick = start;
at("player").onplay = follow;
window.onresize = () => heard && draw();

try {
  tagger = await Tagger.load();
  at("status").textContent = "";
  setBusy(false);
} catch (error) {
  at("status").textContent = "";
  at("error").textContent = `The model could not be loaded: ${error.message}.`;
}
