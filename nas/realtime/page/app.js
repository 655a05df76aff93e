// The page: a source (camera, picture, clip) -> faces -> boxes, bars and figures. Fetches only what
// its own server holds; pixels never leave it.

import { renderCard } from "./card.js";
import { parseCascade } from "./cascade.js";
import { openNetwork } from "./network.js";
import { drawFaces } from "./overlay.js";
import { facePanel } from "./panel.js";
import { checkNetwork } from "./probes.js";
import { recognise } from "./recognise.js";
import { steady } from "./smoothing.js";

const MAX_SIDE = 8192; // of a picture, in pixels
const SHOWN = 10; // classes of the model that are listed

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });
let parts; // {about, cascade, classify} once all is loaded
let current = 0; // number of the source; a running loop ends when it changes
let release = () => {};
let redraw = () => {}; // a still picture, where the window's size has changed

start().catch((error) => say(`The demo cannot start: ${error.message}`, "failed"));

async function start() {
  const about = await (await get("model.json")).json();
  $("card-text").append(...renderCard(about.card));
  const cascade = parseCascade(await (await get("cascade.xml")).text());
  const classify = await openNetwork(about, await (await get("model.onnx")).arrayBuffer());
  await checkNetwork(classify, about);
  parts = { about, cascade, classify };
  for (const id of ["camera", "choose"]) $(id).disabled = false;
  const classes = about.classes.slice(0, SHOWN).join(", ");
  const more = about.classes.length > SHOWN ? ", ..." : "";
  say(`Ready: network ${about.genome_id}, trained on ${about.training_data}: ${classes}${more}`, "ready");
}

async function get(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return response;
}

/** Draw the source's frame on the canvas, in its own size; its pixels. */
function draw(source, width, height) {
  if (Math.max(width, height) > MAX_SIDE) {
    throw new Error(`${width} x ${height} pixels; at most ${MAX_SIDE} a side are read`);
  }
  canvas.width = width;
  canvas.height = height;
  context.drawImage(source, 0, 0);
  canvas.hidden = false;
  $("hint").hidden = true;
  const pixels = context.getImageData(0, 0, width, height);
  return { width, height, rgba: pixels.data, pixels };
}

function show(frame, faces) {
  // Numbered from the left where there are several.
  const titles = faces.map(({ label }, i) => (faces.length > 1 ? `${i + 1} ${label}` : label));
  drawFaces(context, faces, titles);
  redraw = () => {
    context.putImageData(frame.pixels, 0, 0);
    drawFaces(context, faces, titles);
  };
  $("faces").replaceChildren(
    ...faces.map((face, i) => facePanel(face, titles[i], parts.about.classes)));
  const said = faces.map((face) => face.label).join(", ");
  canvas.setAttribute("aria-label", said ? `Faces: ${said}` : "No face found");
}

function say(text, state) {
  $("status").textContent = text;
  if (state) document.body.dataset.state = state;
}

function report(faces, times) {
  const count = faces.length === 1 ? "1 face" : `${faces.length || "No"} faces`;
  return `${count}; search ${ms(times.detect)}, network ${ms(times.classify)}`;
}

function ms(value) {
  return `${value.toFixed(1)} ms`;
}

/** End what runs now; returns the number of the source that follows. */
function stop() {
  current += 1;
  release();
  release = () => {};
  redraw = () => {};
  $("stop").hidden = true;
  return current;
}

async function showPicture(file) {
  const mine = stop();
  // Its pixels as they stand in the file: a colour profile is the screen's business, not the model's.
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`${file.name} is no picture that this browser can read`);
  });
  const frame = draw(picture, picture.width, picture.height);
  picture.close();
  await new Promise(requestAnimationFrame); // shows it before the search
  const { faces, times } = await recognise(frame, false, parts);
  if (mine !== current) return;
  show(frame, faces);
  say(report(faces, times), "done");
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
  let last = [];
  let rate = 0;
  let before = performance.now();
  while (mine === current) {
    const frame = draw(video, video.videoWidth, video.videoHeight);
    const now = performance.now();
    const { faces, times } = await recognise(frame, true, parts);
    if (mine !== current) return;
    last = steady(faces, last, (now - before) / 1000, parts.about.classes);
    show(frame, last);
    rate = 0.9 * rate + 0.1 * (1000 / Math.max(now - before, 1));
    before = now;
    say(`${report(last, times)}; ${rate.toFixed(0)} fps`, "live");
    await new Promise(requestAnimationFrame);
  }
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

addEventListener("resize", () => redraw());
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
    if (name === "drop" && parts) open(event.dataTransfer.files[0]);
  });
}
