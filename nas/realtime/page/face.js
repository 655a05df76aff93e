// From a box to what the network sees, and from what it says to a label: the twin of
// nas/deploy/preprocessing.py, and of crop.py, softmax and label_of in Python.

import { resizeArea, resizeLinear, roundEven } from "./pixels.js";

export const UNCERTAIN = "uncertain";
export const THRESHOLD = 0.4; // of the strongest class, from which a face has a label

/**
 * The box, grown by the model's margin on every side, as Uint8Array of the model's height x width.
 * Outside the picture its border pixels are repeated.
 */
export function crop(plane, width, height, box, model) {
  const halfW = box.width * (0.5 + model.margin);
  const halfH = box.height * (0.5 + model.margin);
  const centreX = box.x + box.width / 2;
  const centreY = box.y + box.height / 2;
  const left = roundEven(centreX - halfW);
  const top = roundEven(centreY - halfH);
  const w = Math.max(1, roundEven(centreX + halfW) - left);
  const h = Math.max(1, roundEven(centreY + halfH) - top);
  const patch = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) {
    const line = Math.min(height - 1, Math.max(0, top + y)) * width;
    for (let x = 0; x < w; x++) {
      patch[y * w + x] = plane[line + Math.min(width - 1, Math.max(0, left + x))];
    }
  }
  const resize = w >= model.width && h >= model.height ? resizeArea : resizeLinear;
  return resize(patch, w, h, model.width, model.height);
}

/** Logits of one face -> probabilities. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** The strongest class, or UNCERTAIN below the threshold. */
export function labelOf(probabilities, classes) {
  const top = Math.max(...probabilities);
  return top >= THRESHOLD ? classes[probabilities.indexOf(top)] : UNCERTAIN;
}
