/** What is done to an example before the first tensor of a model sees it: one kind for each kind of data. */
import { GraftError } from '@graft/core/error';
import { z } from 'zod';

import { blobRefSchema } from './blob-ref.js';

const sidePixels = z.int().min(1).max(8192);

/** One number for all channels, or one for each of red, green and blue. */
const perChannel = z.union([z.number(), z.array(z.number()).length(3).readonly()]);

/**
 * An image: decoded, made grey or RGB, inverted (255 - x) where asked, resized bilinearly, grey repeated to three channels
 * where the model wants three and the source is grey, then x * scale + offset per value, as float32 [channels, height, width].
 */
export const imagePreprocessingSchema = z
  .strictObject({
    kind: z.literal('image'),
    channels: z.union([z.literal(1), z.literal(3)]),
    height: sidePixels,
    width: sidePixels,
    invert: z.boolean(),
    scale: perChannel,
    offset: perChannel,
  })
  .refine(
    ({ channels, scale, offset }) => channels === 3 || (typeof scale === 'number' && typeof offset === 'number'),
    {
      message: 'three scales or offsets need three channels',
    },
  );

/** A row of numbers, as float32 [length]. */
export const featuresPreprocessingSchema = z.strictObject({
  kind: z.literal('features'),
  length: z.int().min(1).max(1_000_000),
});

const columnName = z.string().min(1).max(200);

/** A number, standardised as (x - mean) / std. */
const numericColumnSchema = z.strictObject({
  name: columnName,
  kind: z.literal('numeric'),
  mean: z.number().default(0),
  std: z.number().positive().default(1),
  /** A missing value: the example is skipped, or it gets the mean (0 once standardised), or this number. */
  missing: z.union([z.enum(['skip', 'mean']), z.number()]).default('skip'),
});

/** A word of a vocabulary: a 1 at its place among zeros, or its number. */
const categoryColumnSchema = z.strictObject({
  name: columnName,
  kind: z.literal('category'),
  vocabulary: z
    .array(z.string().max(200))
    .min(1)
    .max(100_000)
    .refine((words) => new Set(words).size === words.length, { message: 'a word stands in the vocabulary twice' })
    .readonly(),
  encoding: z.enum(['one-hot', 'index']).default('one-hot'),
  /** A missing value or one outside the vocabulary: the example is skipped, or it is 'other': zeros, or the number after the last. */
  unknown: z.enum(['skip', 'other']).default('skip'),
});

/**
 * Named columns, in this order: float32 [width] 'numbers' of numeric and one-hot columns, and, where a column is encoded
 * as an index, int64 [count] 'categories'.
 */
export const tabularPreprocessingSchema = z
  .strictObject({
    kind: z.literal('tabular'),
    columns: z
      .array(z.discriminatedUnion('kind', [numericColumnSchema, categoryColumnSchema]))
      .min(1)
      .max(100_000)
      .readonly(),
    /** 'task': mean and std are those of the columns. 'site': each site takes those of its own training examples. */
    standardise: z.enum(['task', 'site']).default('task'),
  })
  .refine(({ columns }) => new Set(columns.map(({ name }) => name)).size === columns.length, {
    message: 'two columns have the same name',
  });

/** The tensors that a text becomes, int64 [maxLength]. */
const textInputSchema = z.enum(['input_ids', 'attention_mask', 'token_type_ids']);

/** A text, or a pair of texts, as numbers of tokens; longer ones are cut off, shorter ones padded on the right. */
export const textPreprocessingSchema = z.strictObject({
  kind: z.literal('text'),
  /** A tokenizer.json of the Hugging Face tokenizers library. */
  tokenizer: blobRefSchema,
  maxLength: z.int().min(2).max(32_768),
  padId: z.int().min(0).default(0),
  inputs: z
    .array(textInputSchema)
    .min(1)
    .refine((names) => new Set(names).size === names.length, { message: 'an input is named twice' })
    .default(['input_ids', 'attention_mask'])
    .readonly(),
});

/** A tensor as it is stored, (x - mean) / std, as float32 of this shape; a series of T steps with C channels is [T, C]. */
export const tensorPreprocessingSchema = z.strictObject({
  kind: z.literal('tensor'),
  shape: z
    .array(z.int().min(1).max(1_000_000))
    .min(1)
    .max(8)
    .refine((shape) => shape.reduce((a, b) => a * b, 1) <= 16_000_000, {
      message: 'an example has over 16 000 000 numbers',
    })
    .readonly(),
  /** One number, or one for each index of the last axis. */
  mean: z.union([z.number(), z.array(z.number()).min(1).readonly()]).default(0),
  std: z.union([z.number().positive(), z.array(z.number().positive()).min(1).readonly()]).default(1),
});

export const preprocessingSchema = z.discriminatedUnion('kind', [
  imagePreprocessingSchema,
  featuresPreprocessingSchema,
  tabularPreprocessingSchema,
  textPreprocessingSchema,
  tensorPreprocessingSchema,
]);

export type ImagePreprocessing = z.infer<typeof imagePreprocessingSchema>;
export type TabularPreprocessing = z.infer<typeof tabularPreprocessingSchema>;
export type TextPreprocessing = z.infer<typeof textPreprocessingSchema>;
export type TensorPreprocessing = z.infer<typeof tensorPreprocessingSchema>;
export type Preprocessing = z.infer<typeof preprocessingSchema>;

/** One of the tensors of an example, without the batch dimension. */
export interface ExampleInput {
  /** Of the model's input; where an example is a single tensor, any single input takes it. */
  readonly name: string;
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
}

/** What an example becomes, in a fixed order. */
export function exampleInputs(preprocessing: Preprocessing): readonly ExampleInput[] {
  switch (preprocessing.kind) {
    case 'image': {
      const { channels, height, width } = preprocessing;
      return [{ name: 'x', dtype: 'float32', shape: [channels, height, width] }];
    }
    case 'features':
      return [{ name: 'x', dtype: 'float32', shape: [preprocessing.length] }];
    case 'tensor':
      return [{ name: 'x', dtype: 'float32', shape: preprocessing.shape }];
    case 'text':
      return preprocessing.inputs.map((name) => ({ name, dtype: 'int64', shape: [preprocessing.maxLength] }));
    default:
      return tabularInputs(preprocessing);
  }
}

function tabularInputs({ columns }: TabularPreprocessing): ExampleInput[] {
  let width = 0;
  let indices = 0;
  for (const column of columns) {
    if (column.kind === 'numeric') width += 1;
    else if (column.encoding === 'one-hot') width += column.vocabulary.length;
    else indices += 1;
  }
  return [
    ...(width > 0 ? [{ name: 'numbers', dtype: 'float32', shape: [width] } as const] : []),
    ...(indices > 0 ? [{ name: 'categories', dtype: 'int64', shape: [indices] } as const] : []),
  ];
}

/**
 * Shape of an example that is one tensor, without the batch dimension.
 * Throws MODEL_UNSUPPORTED where an example is several tensors.
 */
export function exampleShape(preprocessing: Preprocessing): readonly number[] {
  const inputs = exampleInputs(preprocessing);
  const [input] = inputs;
  if (input !== undefined && inputs.length === 1) return input.shape;
  const names = inputs.map(({ name }) => name).join(', ');
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `a ${preprocessing.kind} example is ${inputs.length} tensors (${names}), expected 1`,
  );
}
