/** Brightness, contrast and saturation of an image, as torchvision's ColorJitter defines them, without its clipping. */
import type { Random } from '@graft/core/random';

import type { PixelScale } from './augment.js';

export interface Jitter {
  readonly channels: number;
  readonly pixels: PixelScale;
  readonly strength: { readonly brightness: number; readonly contrast: number; readonly saturation: number };
}

/** Shares of red, green and blue in grey (ITU-R BT.601). */
const greyShares = [0.299, 0.587, 0.114] as const;

/**
 * In place, on values pixel * scale + offset: pixel * b, then mean + c (pixel - mean) about the mean grey, then grey + s (pixel - grey).
 * Draws three numbers.
 */
export function jitterColour(data: Float32Array, { channels, pixels, strength }: Jitter, source: Random): void {
  const factor = (width: number): number => 1 + width * (2 * source.next() - 1);
  const [brightness, contrast, saturation] = [
    factor(strength.brightness),
    factor(strength.contrast),
    factor(strength.saturation),
  ];
  const area = data.length / channels;
  const changed = [0, 0, 0];
  const of = (given: PixelScale['scale'], channel: number): number =>
    typeof given === 'number' ? given : (given[channel] ?? 0);
  const pixel = (channel: number, i: number): number =>
    ((data[channel * area + i] ?? 0) - of(pixels.offset, channel)) / (of(pixels.scale, channel) || 1);
  const grey = (i: number): number =>
    channels === 3 ? greyShares.reduce((sum, share, channel) => sum + share * pixel(channel, i), 0) : pixel(0, i);
  let total = 0;
  for (let i = 0; i < area; i++) total += brightness * grey(i);
  const mean = total / area;
  for (let i = 0; i < area; i++) {
    const middle = mean + contrast * (brightness * grey(i) - mean);
    for (let channel = 0; channel < channels; channel++) {
      const value = mean + contrast * (brightness * pixel(channel, i) - mean);
      // Channels of one pixel are read before any is written: `grey` of this pixel is taken above.
      changed[channel] = middle + saturation * (value - middle);
    }
    for (let channel = 0; channel < channels; channel++) {
      data[channel * area + i] = (changed[channel] ?? 0) * of(pixels.scale, channel) + of(pixels.offset, channel);
    }
  }
}
