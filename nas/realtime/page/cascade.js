// OpenCV's Haar cascades (Viola and Jones 2001) in the browser: the same file, the same arithmetic
// (float32 where OpenCV has float32) and the same grouping as
// cv2.CascadeClassifier.detectMultiScale. A test compares the boxes, to the pixel.

import { resizeLinear, roundEven } from "./pixels.js";

const f32 = Math.fround;
const GROUP_EPS = 0.2; // relative size and place within which two windows are one face

/**
 * OpenCV's XML -> flat arrays. trees[s] is where the trees of stage s end; tree t has its nodes from
 * roots[t] and its leaves from leafs[t] on. A node compares a feature, which is the rectangles
 * (x, y, width, height in rects, and their weights) from starts[node] to starts[node + 1], and goes
 * to `left` or `right`: another node of the tree, or a leaf where that is not positive. Throws where
 * the file is of another kind.
 */
export function parseCascade(xml) {
  const root = new DOMParser().parseFromString(xml, "text/xml").querySelector("cascade");
  if (root?.querySelector(":scope > featureType")?.textContent !== "HAAR") {
    throw new Error("not a Haar cascade");
  }
  const numbers = (node) => node.textContent.trim().split(/\s+/).map(Number);
  const all = (node, selector) => [...node.querySelectorAll(selector)];
  const side = (name) => Number(root.querySelector(`:scope > ${name}`).textContent);
  const features = all(root, ":scope > features > _").map((node) => all(node, "rects > _").map(numbers));
  const stages = all(root, ":scope > stages > _");
  const trees = stages.map((stage) => all(stage, "weakClassifiers > _"));
  const nodes = trees.flat().map((tree) => fours(numbers(tree.querySelector("internalNodes"))));
  const leaves = trees.flat().map((tree) => numbers(tree.querySelector("leafValues")));
  const rects = nodes.flat().flatMap(([, , feature]) => features[feature]);
  return {
    width: side("width"),
    height: side("height"),
    trees: running(trees.map((stage) => stage.length)).slice(1),
    needed: Float32Array.from(stages, (stage) =>
      f32(f32(stage.querySelector("stageThreshold").textContent) - f32(1e-5))),
    roots: running(nodes.map((tree) => tree.length)),
    leafs: running(leaves.map((tree) => tree.length)),
    votes: Float32Array.from(leaves.flat()),
    left: Int32Array.from(nodes.flat(), (node) => node[0]),
    right: Int32Array.from(nodes.flat(), (node) => node[1]),
    thresholds: Float32Array.from(nodes.flat(), (node) => node[3]),
    starts: running(nodes.flat().map(([, , feature]) => features[feature].length)),
    rects: Int32Array.from(rects.flatMap((rect) => rect.slice(0, 4))),
    weights: Float32Array.from(rects, (rect) => rect[4]),
  };
}

function fours(values) {
  return Array.from({ length: values.length / 4 }, (_, i) => values.slice(4 * i, 4 * i + 4));
}

/** [0, a, a + b, ...] of [a, b, ...]. */
function running(counts) {
  let total = 0;
  return Int32Array.from([0, ...counts], (count) => (total += count));
}

/**
 * Boxes {x, y, width, height} in a grey picture (Uint8Array, row by row). scaleFactor: from one
 * window size to the next. minimum: side of a face. neighbours: more windows than that must agree.
 */
export function detect(cascade, grey, width, height, { scaleFactor, minimum, neighbours }) {
  const found = [];
  for (let exact = 1; ; exact *= scaleFactor) {
    const factor = f32(exact);
    const side = roundEven(cascade.width * exact);
    if (side > Math.min(width, height)) break;
    if (side < minimum) continue;
    const w = roundEven(f32(width / factor));
    const h = roundEven(f32(height / factor));
    const small = resizeLinear(grey, width, height, w, h);
    for (const [x, y] of scan(cascade, small, w, h, factor >= 2 ? 1 : 2)) {
      found.push({
        x: roundEven(f32(x * factor)),
        y: roundEven(f32(y * factor)),
        width: roundEven(f32(cascade.width * factor)),
        height: roundEven(f32(cascade.height * factor)),
      });
    }
  }
  return group(found, neighbours).map((box) => clipped(box, width, height));
}

function clipped({ x, y, ...size }, width, height) {
  return { x, y, width: Math.min(size.width, width - x), height: Math.min(size.height, height - y) };
}

/** Corners of the windows of one scale that pass every stage. */
function scan(cascade, grey, width, height, step) {
  const stride = width + 1;
  const { sum, squares } = integrals(grey, width, height);
  const offsets = offsetsOf(cascade.rects, stride);
  const innerW = cascade.width - 2; // OpenCV measures the contrast one pixel inside the window
  const innerH = cascade.height - 2;
  const area = innerW * innerH;
  const corners = [stride + 1, stride + 1 + innerW, (innerH + 1) * stride + 1];
  corners.push(corners[2] + innerW);
  const total = (table, at) =>
    table[at + corners[0]] - table[at + corners[1]] - table[at + corners[2]] + table[at + corners[3]];
  const passed = [];
  for (let y = 0; y <= height - cascade.height; y += step) {
    for (let x = 0; x <= width - cascade.width; x += step) {
      const at = y * stride + x;
      const mean = total(sum, at);
      const spread = area * total(squares, at) - mean * mean;
      const norm = f32(1 / Math.sqrt(spread));
      if (spread <= 0 || area * norm >= 0.1) continue; // too flat to be a face
      const reached = run(cascade, offsets, sum, at, norm);
      if (reached === cascade.needed.length) passed.push([x, y]);
      else if (reached === 0) x += step;
    }
  }
  return passed;
}

/** How many stages a window passes. */
function run(cascade, offsets, sum, at, norm) {
  const { trees, needed, roots, leafs, votes, left, right, thresholds, starts, weights } = cascade;
  let t = 0;
  for (let s = 0; s < needed.length; s++) {
    let total = 0;
    for (; t < trees[s]; t++) {
      let next = 0;
      do {
        const node = roots[t] + next;
        let value = 0;
        for (let r = starts[node]; r < starts[node + 1]; r++) {
          const k = 4 * r;
          const outer = sum[at + offsets[k]] + sum[at + offsets[k + 3]];
          const inner = sum[at + offsets[k + 1]] + sum[at + offsets[k + 2]];
          value = f32(value + f32(weights[r] * f32(outer - inner)));
        }
        next = f32(value * norm) < thresholds[node] ? left[node] : right[node];
      } while (next > 0);
      total += votes[leafs[t] - next];
    }
    if (total < needed[s]) return s;
  }
  return needed.length;
}

/** The corners of every rectangle as offsets into an integral image of this stride. */
function offsetsOf(rects, stride) {
  const out = new Int32Array(rects.length);
  for (let k = 0; k < rects.length; k += 4) {
    const corner = rects[k + 1] * stride + rects[k];
    out[k] = corner;
    out[k + 1] = corner + rects[k + 2];
    out[k + 2] = corner + rects[k + 3] * stride;
    out[k + 3] = out[k + 2] + rects[k + 2];
  }
  return out;
}

/** Sums of all pixels (and of their squares) above and to the left, one row and column wider. */
function integrals(grey, width, height) {
  const stride = width + 1;
  const sum = new Int32Array(stride * (height + 1));
  const squares = new Float64Array(stride * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    let rowSquares = 0;
    for (let x = 0; x < width; x++) {
      const value = grey[y * width + x];
      row += value;
      rowSquares += value * value;
      const at = (y + 1) * stride + x + 1;
      sum[at] = sum[at - stride] + row;
      squares[at] = squares[at - stride] + rowSquares;
    }
  }
  return { sum, squares };
}

/** Windows that lie close together are one face, if there are more than `neighbours` of them. */
function group(boxes, neighbours) {
  const groups = [];
  for (const box of boxes) {
    const near = groups.filter((members) => members.some((other) => similar(box, other)));
    const merged = [box, ...near.flat()];
    for (const members of near) groups.splice(groups.indexOf(members), 1);
    groups.push(merged);
  }
  const faces = groups
    .filter((members) => members.length > neighbours)
    .map((members) => ({ count: members.length, ...average(members) }));
  return faces
    .filter((face) => !faces.some((other) => other !== face && swallows(other, face)))
    .map(({ count, ...box }) => box);
}

function similar(a, b) {
  const delta = GROUP_EPS * 0.5 * (Math.min(a.width, b.width) + Math.min(a.height, b.height));
  return (
    Math.abs(a.x - b.x) <= delta &&
    Math.abs(a.y - b.y) <= delta &&
    Math.abs(a.x + a.width - b.x - b.width) <= delta &&
    Math.abs(a.y + a.height - b.y - b.height) <= delta
  );
}

function average(boxes) {
  const share = f32(1 / boxes.length);
  const mean = (key) => roundEven(f32(boxes.reduce((total, box) => total + box[key], 0) * share));
  return { x: mean("x"), y: mean("y"), width: mean("width"), height: mean("height") };
}

/** A small find inside a stronger one is no face of its own. */
function swallows(outer, inner) {
  const dx = roundEven(outer.width * GROUP_EPS);
  const dy = roundEven(outer.height * GROUP_EPS);
  return (
    inner.x >= outer.x - dx &&
    inner.y >= outer.y - dy &&
    inner.x + inner.width <= outer.x + outer.width + dx &&
    inner.y + inner.height <= outer.y + outer.height + dy &&
    (outer.count > Math.max(3, inner.count) || inner.count < 3)
  );
}
