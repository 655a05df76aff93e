// Grey levels and resampling with the arithmetic of OpenCV, to the bit: what the desktop finds and
// what the page finds must be one and the same.

const f32 = Math.fround;

/** The nearest integer, and of two the even one, as Python's round and OpenCV's cvRound. */
export function roundEven(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

/** RGBA pixels -> grey Uint8Array, with the weights of cv2.COLOR_BGR2GRAY. */
export function toGrey(rgba) {
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0, k = 0; i < grey.length; i++, k += 4) {
    grey[i] = (rgba[k] * 9798 + rgba[k + 1] * 19235 + rgba[k + 2] * 3735 + 16384) >> 15;
  }
  return grey;
}

/** One channel of RGBA pixels. */
export function toPlane(rgba, channel) {
  return Uint8Array.from({ length: rgba.length / 4 }, (_, i) => rgba[4 * i + channel]);
}

/** Bilinear in fixed point: cv2.INTER_LINEAR_EXACT. */
export function resizeLinear(pixels, width, height, w, h) {
  if (w === width && h === height) return pixels;
  const out = new Uint8Array(w * h);
  const columns = neighbours(width, w);
  const rows = neighbours(height, h);
  for (let y = 0; y < h; y++) {
    const down = rows.share[y];
    const upper = rows.low[y] * width;
    const lower = rows.high[y] * width;
    for (let x = 0; x < w; x++) {
      const along = columns.share[x];
      const left = columns.low[x];
      const right = columns.high[x];
      const above = pixels[upper + left] * (256 - along) + pixels[upper + right] * along;
      const below = pixels[lower + left] * (256 - along) + pixels[lower + right] * along;
      out[y * w + x] = (above * (256 - down) + below * down + 32768) >>> 16;
    }
  }
  return out;
}

/** For every output pixel its two neighbours, and the share of the second in 256ths. */
function neighbours(from, to) {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const share = new Int32Array(to);
  const scale = 1 / (to / from);
  for (let i = 0; i < to; i++) {
    const at = scale * (i + 0.5) - 0.5;
    low[i] = Math.min(from - 1, Math.max(0, Math.floor(at)));
    high[i] = Math.min(from - 1, low[i] + 1);
    share[i] = at < 0 || low[i] === high[i] ? 0 : roundEven((at - low[i]) * 256);
  }
  return { low, high, share };
}

/** The mean of what each output pixel covers: cv2.INTER_AREA, for shrinking. */
export function resizeArea(pixels, width, height, w, h) {
  const columns = covered(width, w);
  const rows = covered(height, h);
  const area = (width / w) * (height / h);
  const level = Number.isInteger(width / w) && Number.isInteger(height / h)
    ? area === 4 ? (sum) => Math.round(sum / 4) : (sum) => roundEven(f32(sum * f32(1 / area)))
    : (sum) => roundEven(sum / area); // three paths of OpenCV, three ways to round a half
  const out = new Uint8Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let sum = 0;
      for (const [row, down] of rows[y]) {
        for (const [column, along] of columns[x]) sum += down * along * pixels[row * width + column];
      }
      out[y * w + x] = level(sum);
    }
  }
  return out;
}

/** For every output pixel: the input pixels that it covers, and how much of each. */
function covered(from, to) {
  const size = from / to;
  return Array.from({ length: to }, (_, i) => {
    const start = i * size;
    const end = start + size;
    const found = [];
    for (let at = Math.floor(start); at < Math.min(from, Math.ceil(end - 1e-9)); at++) {
      found.push([at, Math.min(at + 1, end) - Math.max(at, start)]);
    }
    return found;
  });
}
