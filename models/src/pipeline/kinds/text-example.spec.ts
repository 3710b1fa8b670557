/** Texts against the Hugging Face tokenizers library: test/vectors/make_text_vectors.py wrote the numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Tensor } from '@graft/core/tensor';

import { textEncoder } from './text-example.js';

interface Encoded {
  readonly texts: readonly [string, string?];
  readonly input_ids: readonly number[];
  readonly attention_mask: readonly number[];
  readonly token_type_ids: readonly number[];
}

interface Vectors {
  readonly name: string;
  readonly tokenizer: unknown;
  readonly lengths: readonly {
    readonly maxLength: number;
    readonly padId: number;
    readonly cases: readonly Encoded[];
  }[];
}

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../../test/vectors/text-tokens.json'), 'utf8'),
) as readonly Vectors[];

const inputs = ['input_ids', 'attention_mask', 'token_type_ids'] as const;
const bytesOf = (tokenizer: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(tokenizer));
const numbers = (value: Tensor | undefined): number[] => Array.from(value?.data ?? [], Number);
const bert = bytesOf(vectors[0]?.tokenizer);

describe.each(vectors.flatMap(({ name, tokenizer, lengths }) => lengths.map((one) => ({ name, tokenizer, ...one }))))(
  'a text of at most $maxLength tokens of $name',
  ({ tokenizer, maxLength, padId, cases }) => {
    const encode = textEncoder(bytesOf(tokenizer), { maxLength, padId, inputs });

    it.each(cases)('has the numbers of the library: $texts', ({ texts, ...expected }) => {
      const [text, pair] = texts;
      const got = encode({ text, ...(pair !== undefined && { pair }) }, 'a text');
      for (const input of inputs) {
        expect(got[input]).toMatchObject({ dtype: 'int64', shape: [maxLength] });
        expect(numbers(got[input])).toEqual(expected[input]);
      }
    });
  },
);

describe('a text', () => {
  it('becomes only the tensors that the model takes', () => {
    const encode = textEncoder(bert, { maxLength: 8, padId: 0, inputs: ['input_ids'] });
    expect(Object.keys(encode({ text: 'the dog' }, 'line 1'))).toEqual(['input_ids']);
  });

  it('without a token is a record that cannot be used', () => {
    const encode = textEncoder(bert, { maxLength: 8, padId: 0, inputs });
    expect(() => encode({ text: ' \t ' }, 'line 7')).toThrow(
      expect.objectContaining({ code: 'RECORD_UNUSABLE', message: expect.stringContaining('line 7') }),
    );
  });

  it('of a megabyte without a space is one word that is cut off', () => {
    const encode = textEncoder(bert, { maxLength: 8, padId: 0, inputs });
    expect(numbers(encode({ text: 'x'.repeat(1 << 20) }, 'line 1').attention_mask)[0]).toBe(1);
  });

  it('needs room beside the special tokens', () => {
    const encode = textEncoder(bert, { maxLength: 2, padId: 0, inputs });
    expect(() => encode({ text: 'the', pair: 'dog' }, 'line 1')).toThrow(
      expect.objectContaining({ code: 'TOKENIZER_INVALID', message: expect.stringContaining('3 special tokens') }),
    );
  });
});

describe('a tokenizer', () => {
  it.each([
    ['no JSON', new TextEncoder().encode('{')],
    ['another JSON', new TextEncoder().encode('{"model":{"type":"nonsense"}}')],
    ['a number', new TextEncoder().encode('7')],
    ['no UTF-8', Uint8Array.of(0xff, 0xfe, 0x00)],
    ['nothing', new Uint8Array()],
  ])('that is %s is refused', (_, file) => {
    expect(() => textEncoder(file, { maxLength: 8, padId: 0, inputs })).toThrow(
      expect.objectContaining({ code: 'TOKENIZER_INVALID' }),
    );
  });
});
