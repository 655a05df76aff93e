// Rectangles {x, y, width, height}: how much two of them share.

/** Intersection over union, in [0, 1]. */
export function iou(a, b) {
  const both = sharedArea(a, b);
  return both / (a.width * a.height + b.width * b.height - both);
}

/** Pixels that are in both. */
export function sharedArea(a, b) {
  const w = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(0, w) * Math.max(0, h);
}
