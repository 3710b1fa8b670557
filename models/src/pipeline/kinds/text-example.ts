/** A text as numbers of tokens (https://huggingface.co/docs/tokenizers): cut off and padded to one length. */
import { Tokenizer } from '@huggingface/tokenizers';

import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';

import type { ExampleTensors } from '../batches/example-tensors.js';
import type { TextPreprocessing } from '../preprocessing.js';

/** A tokenizer.json: the vocabularies of large multilingual models come to 20 MB. */
const tokenizerBytes = 64 << 20;

/** Characters that are looked at, times the tokens that are kept: no token of a real text is that long. */
const charactersAToken = 256;

export interface Text {
  readonly text: string;
  /** Of a task on two texts. */
  readonly pair?: string;
}

export type TextEncoder = (text: Text, name: string) => ExampleTensors;

/**
 * The encoder of a tokenizer.json. Special tokens are the post-processor's; of a text that is too long the end of the longer part
 * is cut off before they are added, so that they are always there (the library's 'longest_first').
 * Throws TOKENIZER_INVALID for a file that is none; the encoder throws RECORD_UNUSABLE for a text without a token,
 * TOKENIZER_INVALID where the special tokens alone are longer than `maxLength`.
 */
export function textEncoder(
  file: Uint8Array,
  { maxLength, padId, inputs }: Omit<TextPreprocessing, 'kind' | 'tokenizer'>,
): TextEncoder {
  const opened = openTokenizer(file);
  const { tokenizer } = opened;
  const tokensOf = (text: string): string[] => tokenizer.tokenize(text.slice(0, maxLength * charactersAToken));
  return ({ text, pair }, name) => {
    const first = tokensOf(text);
    const second = pair === undefined ? null : tokensOf(pair);
    if (first.length === 0) throw new GraftError('RECORD_UNUSABLE', `${name} has a text without a token`);
    const special = finish(opened, [], second === null ? null : []).tokens.length;
    shorten([first, second ?? []], maxLength - special);
    const { tokens, types } = finish(opened, first, second);
    if (tokens.length > maxLength) {
      throw new GraftError('TOKENIZER_INVALID', `${special} special tokens leave no room in ${maxLength}`);
    }
    const columns = {
      input_ids: padded(maxLength, padId, (i) => idOf(tokenizer, tokens[i])),
      attention_mask: padded(maxLength, 0, (i) => (i < tokens.length ? 1 : undefined)),
      token_type_ids: padded(maxLength, 0, (i) => types[i]),
    };
    return Object.fromEntries(inputs.map((input) => [input, columns[input]]));
  };
}

interface Opened {
  readonly tokenizer: Tokenizer;
  /** Whether the two texts of a pair have types of their own. */
  readonly hasTypes: boolean;
}

function openTokenizer(file: Uint8Array): Opened {
  if (file.length > tokenizerBytes) {
    throw new GraftError('TOKENIZER_INVALID', `the tokenizer has ${file.length} bytes, the limit is ${tokenizerBytes}`);
  }
  try {
    const source: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file));
    if (typeof source !== 'object' || source === null) throw new TypeError('it is no JSON object');
    return { tokenizer: new Tokenizer(source, {}), hasTypes: !sayRoberta(source) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('TOKENIZER_INVALID', `the tokenizer.json cannot be used: ${reason.slice(0, 200)}`, { cause });
  }
}

/** Models of RoBERTa's form have one type alone; the JavaScript library gives the second text another, the original does not. */
function sayRoberta(source: object): boolean {
  const processor: unknown = Reflect.get(source, 'post_processor');
  return typeof processor === 'object' && processor !== null && Reflect.get(processor, 'type') === 'RobertaProcessing';
}

/** With special tokens. Types are 0 for the first text and 1 for the second. */
function finish({ tokenizer, hasTypes }: Opened, first: string[], second: string[] | null) {
  const done = tokenizer.post_processor?.(first, second, true);
  const tokens = done?.tokens ?? [...first, ...(second ?? [])];
  const types = done?.token_type_ids ?? [...first.map(() => 0), ...(second ?? []).map(() => 1)];
  return { tokens, types: hasTypes && types.length === tokens.length ? types : tokens.map(() => 0) };
}

/** Takes tokens off the end of the longer list, of the second where both are equally long, until both fit. */
function shorten([first, second]: readonly [string[], string[]], room: number): void {
  let over = first.length + second.length - Math.max(0, room);
  if (over <= 0) return;
  const gap = Math.min(over, Math.abs(first.length - second.length));
  const longer = first.length > second.length ? first : second;
  longer.length -= gap;
  over -= gap;
  second.length -= Math.min(second.length, Math.ceil(over / 2));
  first.length -= Math.min(first.length, Math.floor(over / 2));
}

function idOf(tokenizer: Tokenizer, token: string | undefined): number | undefined {
  if (token === undefined) return undefined;
  const id = tokenizer.token_to_id(token) ?? tokenizer.model?.unk_token_id;
  if (id !== undefined) return id;
  throw new GraftError('TOKENIZER_INVALID', `the tokenizer has no number for '${token.slice(0, 40)}'`);
}

function padded(length: number, padding: number, at: (i: number) => number | undefined) {
  return tensor(
    'int64',
    [length],
    BigInt64Array.from({ length }, (_, i) => BigInt(at(i) ?? padding)),
  );
}
