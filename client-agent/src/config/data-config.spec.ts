/** Every block of docs/data.md is what it says it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { augmentationSchema } from '@graft/models/pipeline/augmentation/augmentation';
import { preprocessingSchema } from '@graft/models/pipeline/preprocessing';
import { parse } from 'yaml';

import { parseDataConfig } from './data-config.js';

const page = readFileSync(join(import.meta.dirname, '../../../docs/data.md'), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, block = '']) => block);

describe('the page about data', () => {
  it('shows a data.yaml of every format', () => {
    const configs = blocks('yaml').map((block) => parseDataConfig(parse(block), 'data.yaml'));
    expect(configs.map(({ format }) => format)).toEqual(['image-folder', 'csv', 'jsonl', 'parquet', 'safetensors']);
    expect(configs[1]).toMatchObject({ numeric: { age: 'alder', income: 'income' }, categorical: { city: 'city' } });
  });

  it('shows a preprocessing of every kind, and an augmentation', () => {
    const sources = blocks('json').map((block): unknown => JSON.parse(block.replace('<sha256>', 'a'.repeat(64))));
    const kinds = sources.slice(0, -1).map((source) => preprocessingSchema.parse(source).kind);
    expect(kinds).toEqual(['image', 'tabular', 'text', 'tensor']);
    expect(augmentationSchema.parse(sources.at(-1))).toMatchObject({ place: 'before-trunk', variants: 4 });
  });
});
