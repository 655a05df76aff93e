// Boxes and labels on the canvas. Sizes follow what is seen: a large picture is shown small.

import { sharedArea } from "./boxes.js";
import { UNCERTAIN } from "./face.js";

const FONT = 15; // of a label, in pixels of the screen
const COLOURS = { certain: ["#4fd1a1", "#0c1a14"], uncertain: ["#b4b9bd", "#14171a"] };

/** Draw what was found over the frame. titles: the label of each face. */
export function drawFaces(context, faces, titles) {
  const scale = shownScale(context.canvas);
  context.textBaseline = "middle";
  context.lineWidth = 2 * scale;
  const labels = placeLabels(context, faces, titles, scale);
  const colours = faces.map(({ label }) => COLOURS[label === UNCERTAIN ? "uncertain" : "certain"]);
  faces.forEach(({ box, label }, i) => {
    [context.strokeStyle] = colours[i];
    context.setLineDash(label === UNCERTAIN ? [6 * scale, 4 * scale] : []);
    context.strokeRect(box.x, box.y, box.width, box.height);
  });
  labels.forEach(({ x, y, width, height }, i) => {
    const [ground, text] = colours[i];
    context.fillStyle = ground;
    context.fillRect(x, y, width, height);
    context.fillStyle = text;
    context.fillText(titles[i], x + 5 * scale, y + height / 2);
  });
}

/**
 * Where each face's label goes, {x, y, width, height}. In a crowd, where one would cover a face or
 * another label, all are smaller, as on the desktop (annotate.py).
 */
export function placeLabels(context, faces, titles, scale) {
  const { width, height } = context.canvas;
  let labels = [];
  for (const size of [FONT, (FONT * 2) / 3]) {
    context.font = `600 ${size * scale}px system-ui, sans-serif`;
    const taken = faces.map((face) => face.box);
    labels = faces.map(({ box }, i) => {
      const label = { width: context.measureText(titles[i]).width + 10 * scale, height: (size + 7) * scale };
      const place = placeFor(label, box, taken, width, height);
      const covers = taken.some((other) => sharedArea(place, other) > 0);
      taken.push(place);
      return { ...place, covers };
    });
    if (!labels.some((label) => label.covers)) break;
  }
  return labels;
}

/** Pixels of the canvas to one of the screen. */
function shownScale(canvas) {
  const { clientWidth, clientHeight, width, height } = canvas;
  return clientWidth ? Math.max(width / clientWidth, height / clientHeight) : 1;
}

/**
 * Above the box, below or beside it, or a row further: of these the first place in the picture that
 * covers least of what is taken.
 */
export function placeFor(label, box, taken, width, height) {
  const columns = [box.x, box.x + box.width - label.width];
  const beside = [box.x + box.width, box.x - label.width];
  const [above, below] = [box.y - label.height, box.y + box.height];
  const corners = [];
  for (const away of [0, label.height]) {
    for (const y of [above - away, below + away]) corners.push(...columns.map((x) => [x, y]));
    for (const y of [box.y, below + away, above - away]) corners.push(...beside.map((x) => [x, y]));
  }
  const places = corners.map(([x, y]) =>
    ({ ...label, x: clamp(x, width - label.width), y: clamp(y, height - label.height) }));
  const covered = places.map((place) => taken.reduce((sum, other) => sum + sharedArea(place, other), 0));
  return places[covered.indexOf(Math.min(...covered))];
}

function clamp(value, limit) {
  return Math.max(0, Math.min(value, limit));
}
