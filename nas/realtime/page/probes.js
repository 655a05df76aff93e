// The model's own test of the machine that opens it: the twin of nas/deploy/probes.py.

const FLOOR = 1e-3; // of a logit's spread: below it a network says nothing

/** Throws where this browser's logits of the model's probes are not what they should be. */
export async function checkNetwork(classify, about) {
  if (!about.probes) return; // a file from before version 0.2
  const { squares, logits, limit } = about.probes;
  const found = await classify(squares.map((planes) =>
    planes.map((square) => enlarged(square, about.height, about.width))));
  const off = difference(logits, found);
  if (off <= limit) return; // not where it is NaN
  const share = (value) => `${Math.round(100 * value)} %`;
  throw new Error(
    `this browser computes another network than was trained (its logits are off by ${share(off)} ` +
    `of their size, allowed ${share(limit)}); it is not used`);
}

/** A square of a few pixels, as large as the network's input. */
export function enlarged(square, height, width) {
  const out = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    const row = square[Math.floor((y * square.length) / height)];
    for (let x = 0; x < width; x++) out[y * width + x] = row[Math.floor((x * row.length) / width)];
  }
  return out;
}

/** |theirs - ours| / |ours|, of logits less their mean: 0 is equal, 1 is unrelated. */
export function difference(ours, theirs) {
  const centred = (rows) => rows.flatMap((row) => {
    const values = Array.from(row);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return values.map((value) => value - mean);
  });
  const [a, b] = [centred(ours), centred(theirs)];
  const norm = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  const scale = Math.max(norm(a), FLOOR * Math.sqrt(a.length));
  return norm(a.map((value, i) => b[i] - value)) / scale;
}
