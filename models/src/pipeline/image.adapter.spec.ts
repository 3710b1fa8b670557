import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';

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

describe('an image of any kind', () => {
  const picture = () =>
    sharp(
      Uint8Array.from({ length: 12 * 9 * 3 }, (_, i) => (i * 7) % 256),
      { raw: { width: 12, height: 9, channels: 3 } },
    );
  const colour = { ...plain, channels: 3 as const, width: 12, height: 9 };
  const read = async (bytes: Uint8Array, preprocessing: ImagePreprocessing = colour): Promise<Float32Array> =>
    (await decodeImage({ name: 'image', bytes }, preprocessing)).data;
  const distance = (a: Float32Array, b: Float32Array): number =>
    a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? NaN)), 0) / a.length;

  it.each([
    ['PNG', (image: Sharp) => image.png(), 0],
    ['PNG of 256 colours', (image: Sharp) => image.png({ palette: true, dither: 0 }), 12],
    ['JPEG', (image: Sharp) => image.jpeg({ quality: 100, chromaSubsampling: '4:4:4' }), 3],
    [
      'progressive JPEG',
      (image: Sharp) => image.jpeg({ quality: 100, chromaSubsampling: '4:4:4', progressive: true }),
      3,
    ],
    ['WebP', (image: Sharp) => image.webp({ lossless: true }), 0],
    ['GIF', (image: Sharp) => image.gif({ dither: 0 }), 12],
    ['TIFF', (image: Sharp) => image.tiff({ compression: 'lzw' }), 0],
    ['AVIF', (image: Sharp) => image.avif({ lossless: true, chromaSubsampling: '4:4:4' }), 3],
  ] as const)('is read from %s, whatever its name', async (_, write, error) => {
    const expected = await read(await picture().png().toBuffer());
    expect(distance(await read(await write(picture()).toBuffer()), expected)).toBeLessThanOrEqual(error);
  });

  it('is read from CMYK, with a profile and without', async () => {
    const expected = await read(await picture().png().toBuffer());
    const bytes = await picture().toColourspace('cmyk').jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    // Printed colours are duller: what is asked is that dark stays dark and light stays light.
    expect(distance(await read(bytes), expected)).toBeLessThan(64);
  });

  it('is turned as its camera was held', async () => {
    const wide = await sharp(Uint8Array.of(0, 100, 200, 40), { raw: { width: 4, height: 1, channels: 1 } })
      .png()
      .toBuffer();
    const turned = await sharp(wide).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();
    const tall = { ...plain, width: 1, height: 4 };
    expect(distance(await read(turned, tall), Float32Array.of(0, 100, 200, 40))).toBeLessThan(3);
  });

  it('is the first picture of a moving one', async () => {
    const frames = Uint8Array.from({ length: 2 * 2 * 2 * 3 }, (_, i) => (i < 12 ? 0 : 255));
    const bytes = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .gif()
      .toBuffer();
    expect((await sharp(bytes).metadata()).pages).toBe(2);
    expect(new Set(await read(bytes, { ...colour, width: 2, height: 2 }))).toEqual(new Set([0]));
  });

  it('of one pixel fills the whole', async () => {
    const bytes = await sharp(Uint8Array.of(10, 20, 30), { raw: { width: 1, height: 1, channels: 3 } })
      .png()
      .toBuffer();
    const data = await read(bytes, { ...colour, width: 3, height: 3 });
    expect([0, 9, 18].map((i) => data[i])).toEqual([10, 20, 30]);
    expect(new Set(data)).toEqual(new Set([10, 20, 30]));
  });

  it('has a scale and an offset for each channel where the model says so', async () => {
    const bytes = await sharp(Uint8Array.of(10, 20, 30), { raw: { width: 1, height: 1, channels: 3 } })
      .png()
      .toBuffer();
    const { data } = await decodeImage(
      { name: 'rgb', bytes },
      { ...colour, width: 1, height: 1, scale: [1, 2, 0.5], offset: [0, -40, 1] },
    );
    expect([...data]).toEqual([10, 0, 16]);
  });

  it('of 100 megapixels is read, in the memory of its pixels', async () => {
    const bytes = await sharp({ create: { width: 10_000, height: 10_000, channels: 3, background: '#102030' } })
      .png({ compressionLevel: 1 })
      .toBuffer();
    const data = await read(bytes, { ...colour, width: 2, height: 2 });
    expect([0, 4, 8].map((i) => Math.round(data[i] ?? 0))).toEqual([16, 32, 48]);
  }, 60_000);
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

  it('that is thinner than any picture is refused with the limit', async () => {
    const bytes = await sharp({ create: { width: 1, height: 70_000, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    expect(await refusal({ name: 'hair.png', bytes })).toMatch(
      /^IMAGE_UNREADABLE: .*it is 1 x 70000, the limit of a side is 65535 pixels/,
    );
  });

  it('whose header claims what its bytes do not hold is refused', async () => {
    const small = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    const forged = Buffer.from(small);
    // The width of a PNG is at byte 16; its checksum is then wrong too.
    forged.writeUInt32BE(9_000, 16);
    expect(await refusal({ name: 'forged.png', bytes: forged })).toMatch(/^IMAGE_UNREADABLE: .*'forged\.png'/);
  });

  it('whose grey pixels do not fill its size is refused', async () => {
    expect(await refusal({ name: 'row', grey: new Uint8Array(3), width: 2, height: 2 })).toMatch(
      /^IMAGE_UNREADABLE: .*3 grey pixels do not fill 2 x 2/,
    );
  });
});
