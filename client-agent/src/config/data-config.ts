/** data.yaml: where the site's own labelled examples lie, and what they are. Relative paths are resolved against the file. */
import { GraftError } from '@graft/core/error';
import { z } from 'zod';

import { firstIssue } from './agent-config.js';

const path = z.string().min(1);
const column = z.string().min(1);

/** Renames the site's labels to those of the task: `labels: { zero: "0" }`. */
const labels = z.record(z.string(), z.coerce.string()).optional();

/** Columns by the task's names: a list where the site's are the same, else `{ age: alter }`. */
const namedColumns = z
  .union([
    z
      .array(column)
      .min(1)
      .transform((names) => Object.fromEntries(names.map((name) => [name, name]))),
    z.record(z.string().min(1), column),
  ])
  .refine((names) => Object.keys(names).length <= 100_000, { message: 'over 100000 columns, the limit' });

/** What a row of a table is an example of: exactly one of an image, numbers, a tabular row and a text. */
const table = {
  path,
  label: column,
  /** A column of paths below `imageFolder`, which is the file's own folder unless it is named. */
  image: column.optional(),
  imageFolder: path.optional(),
  /** Numbers in this order; a row where one is missing is skipped. */
  columns: z.array(column).min(1).max(100_000).optional(),
  /** Numbers and words by name; the task says what becomes of a missing or an unknown one. */
  numeric: namedColumns.optional(),
  categorical: namedColumns.optional(),
  text: column.optional(),
  /** The second text of a pair. */
  pair: column.optional(),
  labels,
};

interface Meanings {
  readonly image?: unknown;
  readonly imageFolder?: unknown;
  readonly columns?: unknown;
  readonly numeric?: unknown;
  readonly categorical?: unknown;
  readonly text?: unknown;
  readonly pair?: unknown;
}

/** Of image, columns, numeric or categorical, and text there is one; pair and imageFolder only beside what they belong to. */
function meansOneThing({ image, imageFolder, columns, numeric, categorical, text, pair }: Meanings): boolean {
  const tabular = numeric ?? categorical;
  const given = [image, columns, tabular, text].filter((meaning) => meaning !== undefined);
  return (
    given.length === 1 &&
    (pair === undefined || text !== undefined) &&
    (imageFolder === undefined || image !== undefined)
  );
}

const oneMeaning = {
  message:
    "name either 'image' (a column of paths), 'columns' (numbers in order), 'numeric' and 'categorical' (columns by name) or 'text'",
};

/** Any encoding of the WHATWG standard (https://encoding.spec.whatwg.org/#names-and-labels). */
const encoding = z.string().min(1).max(40);

const textFile = {
  /** What the file is written in; without it its first bytes decide, and UTF-8 if they do not. */
  encoding: encoding.optional(),
  /** For rows that are not valid UTF-8 in a file that is; without it they are skipped. */
  fallbackEncoding: encoding.optional(),
};

export const dataConfigSchema = z.discriminatedUnion('format', [
  /** A folder with one subfolder a class; the subfolder's name is the label. */
  z.strictObject({ format: z.literal('image-folder'), path, labels }),
  /** A CSV file with a header: one labelled example a row. */
  z
    .strictObject({
      format: z.literal('csv'),
      ...table,
      ...textFile,
      /** One character; without it the one of , ; tab | that the header has most of. */
      delimiter: z.string().length(1).optional(),
    })
    .refine(meansOneThing, oneMeaning),
  /** One JSON object a line. */
  z.strictObject({ format: z.literal('jsonl'), ...table, ...textFile }).refine(meansOneThing, oneMeaning),
  z.strictObject({ format: z.literal('parquet'), ...table }).refine(meansOneThing, oneMeaning),
  /** A safetensors file, or a folder of them: a tensor of examples [N, ...] and one of whole numbers [N], the labels. */
  z.strictObject({
    format: z.literal('safetensors'),
    path,
    x: column.default('x'),
    y: column.default('y'),
    labels,
  }),
]);

export type DataConfig = z.infer<typeof dataConfigSchema>;

/** Of a file whose rows are examples. */
export type TableConfig = Extract<DataConfig, { format: 'csv' | 'jsonl' | 'parquet' }>;

/** Checks parsed YAML. Throws DATA_CONFIG_INVALID that names the first field that is wrong. */
export function parseDataConfig(source: unknown, file: string): DataConfig {
  const parsed = dataConfigSchema.safeParse(source);
  if (parsed.success) return parsed.data;
  throw new GraftError('DATA_CONFIG_INVALID', `${file}: ${firstIssue(parsed.error)}`, { cause: parsed.error });
}
