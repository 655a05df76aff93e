// Boxes and labels on the canvas. Sizes follow what is seen: a large picture is shown small.

import { sharedArea } from "./boxes.js";
import { UNCERTAIN } from "./face.js";

const FONT = 15; // of a label, in pixels of the screen
const COLOURS = { certain: ["#4fd1a1", "#0c1a14"], uncertain: ["#b4b9bd", "#14171a"] };

/** Draw what was found over the frame. titles: the label of each face. */
export function drawFaces(context, faces, titles) {
  const { width, height } = context.canvas;
  const scale = shownScale(context.canvas);
  context.font = `600 ${FONT * scale}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.lineWidth = 2 * scale;
  const taken = faces.map((face) => face.box);
  faces.forEach((face, i) => {
    const uncertain = face.label === UNCERTAIN;
    const [colour, text] = COLOURS[uncertain ? "uncertain" : "certain"];
    const { box } = face;
    context.strokeStyle = context.fillStyle = colour;
    context.setLineDash(uncertain ? [6 * scale, 4 * scale] : []);
    context.strokeRect(box.x, box.y, box.width, box.height);
    const label = {
      width: context.measureText(titles[i]).width + 10 * scale,
      height: (FONT + 7) * scale,
    };
    const place = placeFor(label, box, taken, width, height);
    taken.push(place);
    context.fillRect(place.x, place.y, place.width, place.height);
    context.fillStyle = text;
    context.fillText(titles[i], place.x + 5 * scale, place.y + place.height / 2);
  });
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
