// Steady labels in moving pictures: the twin of nas/realtime/smoothing.py, by seconds, not frames.

import { iou } from "./boxes.js";
import { labelOf, THRESHOLD, UNCERTAIN } from "./face.js";

const MEMORY = 0.3; // seconds in which an old frame's weight falls to 1/e
const LEAD = 0.1; // by which another class must lead, or its own class fall below the threshold
const SAME = 0.3; // overlap from which a box is the face of the last frame

/**
 * What is shown of this frame's faces ({box, probabilities}), given what was shown of the last
 * frame's ({box, probabilities, label}). passed: seconds between the two.
 */
export function steady(found, last, passed, classes) {
  const left = [...last];
  return found.map((face) => {
    const overlaps = left.map((other) => iou(face.box, other.box));
    const best = overlaps.indexOf(Math.max(...overlaps, SAME));
    return next(face, best < 0 ? null : left.splice(best, 1)[0], passed, classes);
  });
}

/** One face, with its past where it has one. */
export function next(face, before, passed, classes) {
  if (!before) return { ...face, label: labelOf(face.probabilities, classes) };
  const fresh = 1 - Math.exp(-Math.max(passed, 0) / MEMORY);
  const probabilities = before.probabilities.map((p, i) => p + fresh * (face.probabilities[i] - p));
  return { ...face, probabilities, label: nextLabel(before.label, probabilities, classes) };
}

function nextLabel(label, probabilities, classes) {
  if (label !== UNCERTAIN) {
    const own = probabilities[classes.indexOf(label)];
    if (own >= THRESHOLD - LEAD && own >= Math.max(...probabilities) - LEAD) return label;
  }
  return labelOf(probabilities, classes);
}
