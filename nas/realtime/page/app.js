// The page: a source (camera, picture, clip) -> faces -> boxes, bars and figures. Fetches only what
// its own server holds; pixels never leave it.

import { renderCard } from "./card.js";
import { detect, parseCascade, shrink } from "./cascade.js";
import { crop, softmax, toGrey } from "./face.js";
import * as ort from "./vendor/ort.wasm.min.mjs";

const LONGEST = 640; // of a frame that is looked at, in pixels
const STILL = { longest: LONGEST, scaleFactor: 1.1, minimum: 40, neighbours: 5 };
const LIVE = { longest: 320, scaleFactor: 1.2, minimum: 24, neighbours: 2 }; // fast rather than sure
const KEPT = 0.7; // of a face's last probabilities, in moving pictures
const SAME = 0.3; // overlap from which a box is the face of the last frame
const CERTAIN = 0.4; // probability from which a label is given, as in the demo on the desktop
const SHOWN = 4; // faces with bars

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
let model, session, cascade;
let current = 0; // number of the source; a running loop ends when it changes
let release = () => {};
let faces = [];

start().catch((error) => say(`The demo cannot start: ${error.message}`, "failed"));

async function start() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("vendor/", location.href).href;
  model = await (await get("model.json")).json();
  $("card-text").append(...renderCard(model.card));
  cascade = parseCascade(await (await get("cascade.xml")).text());
  session = await ort.InferenceSession.create(await (await get("model.onnx")).arrayBuffer());
  await classify([new Float32Array(model.height * model.width)]); // the first run is slow
  for (const id of ["camera", "choose"]) $(id).disabled = false;
  say(`Ready: network ${model.genome_id}, trained on ${model.training_data}`, "ready");
}

async function get(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response;
}

/** What is to be seen, in a frame of the canvas: [{box, probabilities}]. */
async function recognise(search) {
  const { width, height } = canvas;
  const started = performance.now();
  const grey = toGrey(context.getImageData(0, 0, width, height).data);
  const factor = Math.max(1, Math.max(width, height) / search.longest);
  const w = Math.round(width / factor);
  const h = Math.round(height / factor);
  const small = detect(cascade, shrink(grey, width, height, w, h), w, h, search);
  const boxes = small.sort((a, b) => a.x - b.x).map((box) => ({
    x: Math.round((box.x * width) / w),
    y: Math.round((box.y * height) / h),
    width: Math.round((box.width * width) / w),
    height: Math.round((box.height * height) / h),
  }));
  const detected = performance.now();
  const logits = await classify(boxes.map((box) => crop(grey, width, height, box, model)));
  const found = boxes.map((box, i) => ({ box, probabilities: softmax(logits[i]) }));
  const times = { detect: detected - started, classify: performance.now() - detected };
  return { found, times };
}

/** Logits of every crop, all in one batch. */
async function classify(crops) {
  if (!crops.length) return [];
  const { channels, height, width, classes } = model;
  const pixels = new Float32Array(crops.length * height * width);
  crops.forEach((each, i) => pixels.set(each, i * height * width));
  const image = new ort.Tensor("float32", pixels, [crops.length, channels, height, width]);
  const { data } = (await session.run({ [session.inputNames[0]]: image }))[session.outputNames[0]];
  return crops.map((_, i) => data.subarray(i * classes.length, (i + 1) * classes.length));
}

/** A face keeps most of what it said a moment ago: labels do not flicker. */
function smooth(found, last) {
  return found.map((face) => {
    const before = last.find((other) => overlap(face.box, other.box) > SAME);
    if (!before) return face;
    const mixed = face.probabilities.map((p, i) => KEPT * before.probabilities[i] + (1 - KEPT) * p);
    return { ...face, probabilities: mixed };
  });
}

function overlap(a, b) {
  const w = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const shared = Math.max(0, w) * Math.max(0, h);
  return shared / (a.width * a.height + b.width * b.height - shared);
}

/** Draw the source's frame, scaled so that its longer side is at most LONGEST. */
function draw(source, width, height) {
  const factor = Math.min(1, LONGEST / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  context.imageSmoothingQuality = "high"; // a resized canvas forgets it
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  $("hint").hidden = true;
}

function label(face) {
  const top = Math.max(...face.probabilities);
  return top < CERTAIN ? "uncertain" : model.classes[face.probabilities.indexOf(top)];
}

/** The label, numbered from the left where there are several faces. */
function title(face) {
  return faces.length > 1 ? `${faces.indexOf(face) + 1} ${label(face)}` : label(face);
}

function show() {
  context.font = "600 15px system-ui, sans-serif";
  context.lineWidth = 2;
  for (const face of faces) {
    const { x, y, width, height } = face.box;
    context.strokeStyle = context.fillStyle = "#4fd1a1";
    context.strokeRect(x, y, width, height);
    const wide = context.measureText(title(face)).width + 10;
    const left = Math.max(0, Math.min(x - 1, canvas.width - wide));
    const top = Math.max(0, y - 22);
    context.fillRect(left, top, wide, 22);
    context.fillStyle = "#0c1a14";
    context.fillText(title(face), left + 5, top + 16);
  }
  $("faces").replaceChildren(...faces.slice(0, SHOWN).map(panel));
  const said = faces.map(label).join(", ");
  canvas.setAttribute("aria-label", said ? `Faces: ${said}` : "No face found");
}

function panel(face) {
  const article = document.createElement("article");
  article.className = "face";
  article.dataset.box = Object.values(face.box).join(",");
  const heading = document.createElement("h2");
  heading.textContent = title(face);
  const list = document.createElement("ul");
  face.probabilities.forEach((p, i) => {
    const row = document.createElement("li");
    row.className = model.classes[i] === label(face) ? "top" : "";
    row.dataset.probability = p;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(document.createElement("div"));
    bar.firstChild.style.width = `${100 * p}%`;
    row.append(cell(model.classes[i]), bar, cell(`${Math.round(100 * p)} %`));
    list.append(row);
  });
  article.append(heading, list);
  return article;
}

function cell(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
}

function say(text, state) {
  $("status").textContent = text;
  if (state) document.body.dataset.state = state;
}

function count(n) {
  return n === 0 ? "No face found" : n === 1 ? "1 face" : `${n} faces`;
}

/** End what runs now; returns the number of the source that follows. */
function stop() {
  current += 1;
  release();
  release = () => {};
  faces = [];
  $("stop").hidden = true;
  return current;
}

async function showPicture(file) {
  stop();
  const picture = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is no picture that this browser can read`);
  });
  draw(picture, picture.width, picture.height);
  picture.close();
  const { found, times } = await recognise(STILL);
  faces = found;
  show();
  say(`${count(faces.length)}; search ${ms(times.detect)}, network ${ms(times.classify)}`, "done");
}

async function showClip(file) {
  const mine = stop();
  const url = URL.createObjectURL(file);
  release = () => URL.revokeObjectURL(url);
  await play({ src: url, loop: true }, mine, `${file.name} is no clip that this browser can read`);
}

async function showCamera() {
  const mine = stop();
  const wanted = { video: { width: 640, height: 480, facingMode: "user" }, audio: false };
  const stream = await navigator.mediaDevices.getUserMedia(wanted).catch((error) => {
    const why = error.name === "NotAllowedError" ? "was not allowed" : "is missing or busy";
    throw new Error(`The camera ${why}`);
  });
  release = () => stream.getTracks().forEach((track) => track.stop());
  if (mine !== current) return release();
  await play({ srcObject: stream }, mine, "The camera gives no picture");
}

/** Frame after frame until another source starts. */
async function play(source, mine, complaint) {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true }, source);
  const end = release;
  release = () => {
    video.pause();
    end();
  };
  await video.play().catch(() => {
    if (mine === current) throw new Error(complaint);
  });
  $("stop").hidden = false;
  let rate = 0;
  let before = performance.now();
  while (mine === current) {
    draw(video, video.videoWidth, video.videoHeight);
    const { found, times } = await recognise(LIVE);
    if (mine !== current) return;
    faces = smooth(found, faces);
    show();
    const now = performance.now();
    rate = 0.9 * rate + 0.1 * (1000 / (now - before));
    before = now;
    const split = `search ${ms(times.detect)}, network ${ms(times.classify)}`;
    say(`${count(faces.length)}; ${split}; ${rate.toFixed(0)} fps`, "live");
    await new Promise(requestAnimationFrame);
  }
}

function ms(value) {
  return `${value.toFixed(1)} ms`;
}

function open(file) {
  if (!file) return;
  say(`Reading ${file.name}`, "busy");
  attempt(() => (file.type.startsWith("video/") ? showClip(file) : showPicture(file)));
}

function attempt(action) {
  return action().catch((error) => {
    stop();
    say(error.message, "failed");
  });
}

$("camera").addEventListener("click", () => attempt(showCamera));
$("choose").addEventListener("click", () => $("file").click());
$("stop").addEventListener("click", () => {
  stop();
  say("Stopped", "ready");
});
$("file").addEventListener("change", (event) => {
  open(event.target.files[0]);
  event.target.value = ""; // the same file may be chosen again
});
for (const [name, inside] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("view").classList.toggle("dragging", inside);
    if (name === "drop" && session) open(event.dataTransfer.files[0]);
  });
}
