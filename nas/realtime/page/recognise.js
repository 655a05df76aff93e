// A frame of the canvas -> its faces. The counterpart of Recognizer in nas/realtime/recognizer.py.

import { detect } from "./cascade.js";
import { crop, labelOf, softmax } from "./face.js";
import { resizeLinear, toGrey, toPlane } from "./pixels.js";

const STILL = { scaleFactor: 1.1, neighbours: 5 }; // as on the desktop
const LIVE = { scaleFactor: 1.2, neighbours: 2, minimum: 24 }; // fast rather than sure
const LIVE_LONGEST = 320; // of a moving frame that is searched, in pixels
const SMALLEST = 40; // of a face in a picture; in a large one a twelfth of the height

/** {width, height, rgba} of a picture -> faces {box, probabilities, label}, from the left. */
export async function recognise(frame, live, { about, cascade, classify }) {
  const { width, height, rgba } = frame;
  const started = performance.now();
  const grey = toGrey(rgba);
  const boxes = (live ? searchQuickly : search)(cascade, grey, width, height);
  boxes.sort((a, b) => a.x - b.x || a.y - b.y);
  const detected = performance.now();
  // Colour as OpenCV has it: blue, green, red.
  const planes = about.channels === 3 ? [2, 1, 0].map((channel) => toPlane(rgba, channel)) : [grey];
  const crops = boxes.map((box) => planes.map((plane) => crop(plane, width, height, box, about)));
  const logits = await classify(crops);
  const faces = boxes.map((box, i) => {
    const probabilities = softmax(logits[i]);
    return { box, probabilities, label: labelOf(probabilities, about.classes) };
  });
  return { faces, times: { detect: detected - started, classify: performance.now() - detected } };
}

function search(cascade, grey, width, height) {
  const minimum = Math.max(SMALLEST, Math.floor(height / 12));
  return detect(cascade, grey, width, height, { ...STILL, minimum });
}

/** In the shrunk frame; the boxes are of the whole one. */
function searchQuickly(cascade, grey, width, height) {
  const factor = Math.max(1, Math.max(width, height) / LIVE_LONGEST);
  const w = Math.max(1, Math.round(width / factor));
  const h = Math.max(1, Math.round(height / factor));
  return detect(cascade, resizeLinear(grey, width, height, w, h), w, h, LIVE).map((box) => ({
    x: Math.round(box.x * factor),
    y: Math.round(box.y * factor),
    width: Math.round(box.width * factor),
    height: Math.round(box.height * factor),
  }));
}
