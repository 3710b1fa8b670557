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

/**
 * Planes [channels, height, width] of the resized raster, values 0 to 255.
 * A row of the source is made narrow once and added to the target rows that it belongs to: memory is that of the target alone,
 * however tall the source is.
 */
export function resizeBilinear(source: Raster, to: { width: number; height: number }): Float32Array {
  const { height, channels } = source;
  const columns = filters(source.width, to.width);
  const rows = filters(height, to.height);
  const result = new Float32Array(channels * to.height * to.width);
  const narrow = new Float32Array(to.width);
  for (let channel = 0; channel < channels; channel++) {
    const sums = new Float64Array(to.height * to.width);
    // Target rows begin and end in order, so that those which cover a source row are neighbours.
    let firstRow = 0;
    for (let y = 0; y < height; y++) {
      narrowRow(source, { channel, y, columns }, narrow);
      while (firstRow < to.height && endOf(rows[firstRow]) <= y) firstRow += 1;
      for (let target = firstRow; target < to.height; target++) {
        const { first, weights } = rows[target] ?? noFilter;
        if (first > y) break;
        const weight = weights[y - first] ?? 0;
        const at = target * to.width;
        for (let x = 0; x < to.width; x++) sums[at + x] = (sums[at + x] ?? 0) + weight * (narrow[x] ?? 0);
      }
    }
    result.set(sums, channel * to.height * to.width);
  }
  return result;
}

interface Filter {
  /** The first source pixel that is covered. */
  readonly first: number;
  readonly weights: Float64Array;
}

const noFilter: Filter = { first: Infinity, weights: new Float64Array() };
const endOf = ({ first, weights }: Filter = noFilter): number => first + weights.length;

interface SourceRow {
  readonly channel: number;
  readonly y: number;
  readonly columns: readonly Filter[];
}

function narrowRow({ width, channels, pixels }: Raster, { channel, y, columns }: SourceRow, into: Float32Array): void {
  const start = y * width * channels + channel;
  for (let x = 0; x < columns.length; x++) {
    const { first, weights } = columns[x] ?? noFilter;
    let sum = 0;
    for (let i = 0; i < weights.length; i++) sum += (weights[i] ?? 0) * (pixels[start + (first + i) * channels] ?? 0);
    into[x] = sum;
  }
}

/** For each target pixel the source pixels it covers, and their shares, which sum to 1; at the edge the rest share. */
function filters(from: number, to: number): Filter[] {
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
