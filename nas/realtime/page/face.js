// From a frame to what the network sees and says: the counterpart of nas/preprocess.py and of
// crop_face and softmax in nas/realtime/. A test holds both to the same probabilities.

/** RGBA pixels -> grey Uint8Array, with OpenCV's weights. */
export function toGrey(rgba) {
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0, k = 0; i < grey.length; i++, k += 4) {
    grey[i] = (rgba[k] * 9798 + rgba[k + 1] * 19235 + rgba[k + 2] * 3735 + 16384) >> 15;
  }
  return grey;
}

/**
 * The box, grown by the model's margin on every side, as normalised Float32Array of the model's
 * height x width. Outside the picture its border pixels are repeated.
 */
export function crop(grey, width, height, box, model) {
  const halfW = box.width * (0.5 + model.margin);
  const halfH = box.height * (0.5 + model.margin);
  const centreX = box.x + box.width / 2;
  const centreY = box.y + box.height / 2;
  const left = Math.round(centreX - halfW);
  const top = Math.round(centreY - halfH);
  const w = Math.max(1, Math.round(centreX + halfW) - left);
  const h = Math.max(1, Math.round(centreY + halfH) - top);
  const shrinks = h >= model.height;
  const rows = (shrinks ? areas : lines)(h, model.height);
  const columns = (shrinks ? areas : lines)(w, model.width);
  const clip = (at, limit) => Math.min(limit - 1, Math.max(0, at));
  const out = new Float32Array(model.height * model.width);
  for (let y = 0; y < model.height; y++) {
    for (let x = 0; x < model.width; x++) {
      let value = 0;
      for (const [row, down] of rows[y]) {
        const line = clip(top + row, height) * width;
        for (const [column, along] of columns[x]) {
          value += down * along * grey[line + clip(left + column, width)];
        }
      }
      out[y * model.width + x] = (Math.round(value) - model.mean) / model.std;
    }
  }
  return out;
}

/** For every output pixel: the input pixels that it covers, and by how much ("area" resizing). */
function areas(from, to) {
  const size = from / to;
  return Array.from({ length: to }, (_, i) => {
    const start = i * size;
    const end = start + size;
    const covered = [];
    for (let at = Math.floor(start); at < Math.min(from, Math.ceil(end - 1e-9)); at++) {
      covered.push([at, (Math.min(at + 1, end) - Math.max(at, start)) / size]);
    }
    return covered;
  });
}

/** For every output pixel: its two neighbours and their weights (linear resizing). */
function lines(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const low = Math.floor(at);
    return [[low, low + 1 - at], [Math.min(from - 1, low + 1), at - low]];
  });
}

/** Logits of one face -> probabilities. */
export function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (value) => Math.exp(value - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}
