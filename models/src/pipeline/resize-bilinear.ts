/**
 * Bilinear resizing with pixel centres at half coordinates; where it shrinks, the triangle widens to cover every source pixel.
 * The same as PIL's BILINEAR and PyTorch's interpolate(mode='bilinear', align_corners=False, antialias=True), in float32.
 */

export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Rows from the top, channels interleaved. */
  readonly pixels: Uint8Array;
}

/** Planes [channels, height, width] of the resized raster, values 0 to 255. */
export function resizeBilinear(source: Raster, to: { width: number; height: number }): Float32Array {
  const { width, height, channels, pixels } = source;
  const columns = filters(width, to.width);
  const rows = filters(height, to.height);
  // Across first: [channels, height, to.width].
  const narrow = new Float32Array(channels * height * to.width);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const start = y * width * channels + channel;
      for (const [x, { first, weights }] of columns.entries()) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) {
          sum += (weights[i] ?? 0) * (pixels[start + (first + i) * channels] ?? 0);
        }
        narrow[(channel * height + y) * to.width + x] = sum;
      }
    }
  }
  const result = new Float32Array(channels * to.height * to.width);
  for (let channel = 0; channel < channels; channel++) {
    for (const [y, { first, weights }] of rows.entries()) {
      const target = (channel * to.height + y) * to.width;
      for (let x = 0; x < to.width; x++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) {
          sum += (weights[i] ?? 0) * (narrow[(channel * height + first + i) * to.width + x] ?? 0);
        }
        result[target + x] = sum;
      }
    }
  }
  return result;
}

/** For each target pixel the source pixels it covers, and their shares, which sum to 1; at the edge the rest share. */
function filters(from: number, to: number): { first: number; weights: Float64Array }[] {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, target) => {
    const centre = (target + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const last = Math.min(from, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: last - first }, (__, i) =>
      Math.max(0, 1 - Math.abs(first + i + 0.5 - centre) / support),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
