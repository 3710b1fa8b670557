/** Crop, mirror and rotation of planes as one bilinear resampling, so that the image is blurred once. */

export interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

export interface Affine {
  /** Side of the part that is taken, as a share of the whole, and its place. */
  readonly size: number;
  readonly left: number;
  readonly top: number;
  readonly mirrored: boolean;
  /** Turned about the centre. */
  readonly radians: number;
}

/**
 * Planes of the same size: for each target pixel the source at
 * centre + R(-radians) (mirrored target - centre), inside the part; pixel centres lie at half coordinates, the edge repeats.
 */
export function resample(source: Float32Array, planes: Planes, affine: Affine): Float32Array {
  const { channels, height, width } = planes;
  const result = new Float32Array(source.length);
  if (affine.size === 1 && affine.radians === 0)
    return affine.mirrored ? mirror(source, width, result) : source.slice();
  const [cos, sin] = [Math.cos(affine.radians), Math.sin(affine.radians)];
  const area = height * width;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const across = (affine.mirrored ? width - 1 - x : x) + 0.5 - width / 2;
      const down = y + 0.5 - height / 2;
      const turnedX = cos * across + sin * down + width / 2;
      const turnedY = cos * down - sin * across + height / 2;
      const fromX = clamp(affine.left * width + affine.size * turnedX - 0.5, width - 1);
      const fromY = clamp(affine.top * height + affine.size * turnedY - 0.5, height - 1);
      const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
      const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
      const [shareX, shareY] = [fromX - left, fromY - top];
      for (let channel = 0; channel < channels; channel++) {
        const at = (row: number, column: number): number => source[channel * area + row * width + column] ?? 0;
        const upper = at(top, left) * (1 - shareX) + at(top, right) * shareX;
        const lower = at(bottom, left) * (1 - shareX) + at(bottom, right) * shareX;
        result[channel * area + y * width + x] = upper * (1 - shareY) + lower * shareY;
      }
    }
  }
  return result;
}

function mirror(source: Float32Array, width: number, result: Float32Array): Float32Array {
  for (let i = 0; i < source.length; i++) {
    const column = i % width;
    result[i - column + (width - 1 - column)] = source[i] ?? 0;
  }
  return result;
}

const clamp = (value: number, last: number): number => Math.min(Math.max(value, 0), last);
