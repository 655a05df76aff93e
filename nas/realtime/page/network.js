// The network: opened once, then crops in, logits out. It runs in this browser.

import * as ort from "./vendor/ort.wasm.min.mjs";

const BATCH = 8; // faces that are given to it at once, at most

/** The function crops (Uint8Array planes of each face, one for each channel) -> logits of each. */
export async function openNetwork(about, onnx) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("vendor/", location.href).href;
  const session = await ort.InferenceSession.create(onnx);

  async function run(pixels, count) {
    const { channels, height, width, classes } = about;
    const image = new ort.Tensor("float32", pixels, [count, channels, height, width]);
    const { data } = (await session.run({ [session.inputNames[0]]: image }))[session.outputNames[0]];
    return Array.from({ length: count }, (_, i) =>
      data.slice(i * classes.length, (i + 1) * classes.length));
  }

  return async (crops) => {
    const logits = [];
    for (let from = 0; from < crops.length; from += BATCH) {
      const batch = crops.slice(from, from + BATCH);
      logits.push(...(await run(normalised(batch, about), batch.length)));
    }
    return logits;
  };
}

/** What the network takes of faces: (pixel - mean) / std, one plane after the other. */
function normalised(crops, { channels, height, width, mean, std }) {
  const size = height * width;
  const pixels = new Float32Array(crops.length * channels * size);
  crops.flat().forEach((plane, i) => {
    plane.forEach((value, k) => (pixels[i * size + k] = (value - mean) / std));
  });
  return pixels;
}
