import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';

import { GraftError } from '@graft/core/error';

import { decodeImage, type ImageSource } from './image.adapter.js';
import type { ImagePreprocessing } from './preprocessing.js';

const plain: ImagePreprocessing = {
  kind: 'image',
  channels: 1,
  height: 2,
  width: 2,
  invert: false,
  scale: 1,
  offset: 0,
};

const greys = Uint8Array.of(0, 100, 200, 40);
const grey = { name: 'digit 1', grey: greys, width: 2, height: 2 };

const redPng = (alpha: number): Promise<Buffer> =>
  sharp({ create: { width: 3, height: 3, channels: 4, background: { r: 255, g: 0, b: 0, alpha } } })
    .png()
    .toBuffer();

describe('an image', () => {
  it('becomes float32 [channels, height, width]', async () => {
    const example = await decodeImage(grey, plain);
    expect(example.shape).toEqual([1, 2, 2]);
    expect(example.data).toEqual(Float32Array.of(0, 100, 200, 40));
  });

  it('is inverted, then scaled and shifted', async () => {
    const example = await decodeImage(grey, { ...plain, invert: true, scale: 1 / 127.5, offset: -1 });
    for (const [i, pixel] of greys.entries()) expect(example.data[i]).toBeCloseTo((255 - pixel) / 127.5 - 1, 6);
  });

  it('in grey fills three equal channels where the model wants three', async () => {
    const example = await decodeImage(grey, { ...plain, channels: 3, height: 3, width: 5 });
    expect(example.shape).toEqual([3, 3, 5]);
    const [red, green, blue] = [0, 1, 2].map((channel) => example.data.slice(channel * 15, (channel + 1) * 15));
    expect(green).toEqual(red);
    expect(blue).toEqual(red);
  });

  it('in colour keeps its channels apart, and lies on white where it is transparent', async () => {
    const solid = await decodeImage({ name: 'a.png', bytes: await redPng(1) }, { ...plain, channels: 3 });
    expect([...solid.data]).toEqual([255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
    const clear = await decodeImage({ name: 'b.png', bytes: await redPng(0) }, { ...plain, channels: 3 });
    expect(new Set(clear.data)).toEqual(new Set([255]));
  });

  it('of 16 bits is read as the 8 upper ones', async () => {
    const pixels = Uint16Array.of(0, 65535, 32768, 257);
    const bytes = await sharp(pixels, { raw: { width: 2, height: 2, channels: 1 } })
      .toColourspace('grey16')
      .png()
      .toBuffer();
    expect([...(await decodeImage({ name: 'deep.png', bytes }, plain)).data]).toEqual([0, 255, 128, 1]);
  });

  it('gives the same numbers from a file as from memory, every time', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'graft image '));
    try {
      const bytes = await sharp(greys, { raw: { width: 2, height: 2, channels: 1 } })
        .png()
        .toBuffer();
      const file = join(directory, 'ein Bild.png');
      await writeFile(file, bytes);
      const wide = { ...plain, height: 7, width: 5 };
      const first = await decodeImage({ file }, wide);
      expect(await decodeImage({ name: 'memory', bytes }, wide)).toEqual(first);
      expect(await decodeImage({ file }, wide)).toEqual(first);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe('a hostile image', () => {
  const refusal = (source: ImageSource): Promise<string> =>
    decodeImage(source, plain).then(
      () => 'read',
      (error: unknown) => (error instanceof GraftError ? `${error.code}: ${error.message}` : String(error)),
    );

  it('that does not exist, is empty or is no image is refused by name', async () => {
    expect(await refusal({ file: '/nowhere/x.png' })).toMatch(
      /^IMAGE_UNREADABLE: .*'\/nowhere\/x\.png' cannot be read as an image/,
    );
    expect(await refusal({ name: 'empty.png', bytes: new Uint8Array() })).toMatch(/^IMAGE_UNREADABLE: .*'empty\.png'/);
    expect(await refusal({ name: 'text.png', bytes: new TextEncoder().encode('not an image at all') })).toMatch(
      /^IMAGE_UNREADABLE: .*'text\.png'/,
    );
  });

  it('that is cut off is refused at every length', async () => {
    const noise = Uint8Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * i * 31) % 251);
    const jpeg = await sharp(noise, { raw: { width: 32, height: 32, channels: 3 } })
      .jpeg()
      .toBuffer();
    for (let length = 0; length < jpeg.length - 2; length += 97) {
      expect(await refusal({ name: 'cut.jpg', bytes: jpeg.subarray(0, length) })).toMatch(
        /^IMAGE_UNREADABLE: .*'cut\.jpg'/,
      );
    }
  });

  it('that is a program, SVG, is refused', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"><image href="/etc/passwd"/></svg>';
    expect(await refusal({ name: 'x.svg', bytes: new TextEncoder().encode(svg) })).toMatch(
      /^IMAGE_UNREADABLE: .*format svg is not read/,
    );
  });

  it('that claims more pixels than the limit is refused before it is decoded', async () => {
    const bytes = await sharp({ create: { width: 10_001, height: 10_000, channels: 3, background: '#000' } })
      .png({ compressionLevel: 9 })
      .toBuffer();
    expect(await refusal({ name: 'bomb.png', bytes })).toMatch(
      /^IMAGE_UNREADABLE: .*10001 x 10000 = 100010000 pixels, the limit is 100000000/,
    );
  });

  it('whose grey pixels do not fill its size is refused', async () => {
    expect(await refusal({ name: 'row', grey: new Uint8Array(3), width: 2, height: 2 })).toMatch(
      /^IMAGE_UNREADABLE: .*3 grey pixels do not fill 2 x 2/,
    );
  });
});
