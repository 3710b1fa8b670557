/** Examples as the first tensors of a model see them. An example that cannot be used is an error that names it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { GraftError, type ErrorCode } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';
import type { ExampleTensors } from '@graft/models/pipeline/batches/example-tensors';
import { decodeImage } from '@graft/models/pipeline/image.adapter';
import { rowEncoder } from '@graft/models/pipeline/kinds/tabular-row';
import { tensorExample } from '@graft/models/pipeline/kinds/tensor-example';
import { textEncoder } from '@graft/models/pipeline/kinds/text-example';
import type { ImagePreprocessing, Preprocessing } from '@graft/models/pipeline/preprocessing';

import type { ExampleSource } from '../../data/dataset.js';
import { readTensor } from '../../data/safetensors-examples.adapter.js';

/** Codes of errors that concern one record: it is skipped, counted and named. */
const recordCodes: ReadonlySet<ErrorCode> = new Set(['IMAGE_UNREADABLE', 'RECORD_UNUSABLE', 'DATA_FILE_UNREADABLE']);

/** Whether an error is about one record alone. */
export function isRecordError(error: unknown): error is GraftError {
  return error instanceof GraftError && recordCodes.has(error.code);
}

/**
 * One example, without a batch dimension.
 * Throws IMAGE_UNREADABLE, RECORD_UNUSABLE and DATA_FILE_UNREADABLE for this record alone; DATA_UNSUITABLE where the data are of
 * another kind, length or shape than the model takes.
 */
export type Preprocess = (source: ExampleSource, name: string) => Promise<ExampleTensors>;

const nouns: Readonly<Record<ExampleSource['kind'], string>> = {
  image: 'an image',
  features: 'a row of numbers',
  row: 'a row of named columns',
  text: 'a text',
  tensor: 'a tensor',
};

const takes: Readonly<Record<Preprocessing['kind'], string>> = {
  image: 'images',
  features: 'rows of numbers',
  tabular: 'rows of named columns',
  text: 'texts',
  tensor: 'tensors',
};

/**
 * Made once for many examples: vocabularies and tokenizers take their time.
 * @param blobs the folder where a tokenizer lies under its hash
 * @param decode of images; on this thread where it is left out
 * Throws TOKENIZER_INVALID, DATA_UNSUITABLE where a site's statistics are missing.
 */
export async function openPreprocess(
  preprocessing: Preprocessing,
  blobs: string,
  decode: DecodeFile = decodeHere,
): Promise<Preprocess> {
  const make = await makerOf(preprocessing, { blobs, decode });
  return async (source, name) => {
    const made = await make(source, name);
    if (made !== undefined) return made;
    throw new GraftError(
      'DATA_UNSUITABLE',
      `${name} is ${nouns[source.kind]}, the model takes ${takes[preprocessing.kind]}`,
    );
  };
}

/** Decodes an image file; `name` stands in errors. */
export type DecodeFile = (path: string, preprocessing: ImagePreprocessing, name: string) => Promise<ExampleTensors>;

const decodeHere: DecodeFile = async (file, preprocessing) => ({ x: await decodeImage({ file }, preprocessing) });

/** Undefined for an example of another kind. */
type Make = (source: ExampleSource, name: string) => Promise<ExampleTensors | undefined>;

interface Means {
  readonly blobs: string;
  readonly decode: DecodeFile;
}

async function makerOf(preprocessing: Preprocessing, { blobs, decode }: Means): Promise<Make> {
  switch (preprocessing.kind) {
    case 'image':
      return async (source, name) => (source.kind === 'image' ? decode(source.path, preprocessing, name) : undefined);
    case 'features':
      return async (source, name) =>
        source.kind === 'features' ? numbers(source.values, preprocessing.length, name) : undefined;
    case 'tensor':
      return async (source, name) =>
        source.kind === 'tensor' ? tensorExample(await readTensor(source, name), preprocessing, name) : undefined;
    case 'tabular': {
      if (preprocessing.standardise === 'site') {
        throw new GraftError(
          'DATA_UNSUITABLE',
          "the task standardises by each site's own statistics, which are not known here",
        );
      }
      const encode = rowEncoder(preprocessing);
      return async (source, name) => (source.kind === 'row' ? encode(source, name) : undefined);
    }
    default: {
      const encode = textEncoder(await readFile(join(blobs, preprocessing.tokenizer.hash)), preprocessing);
      return async (source, name) => (source.kind === 'text' ? encode(source, name) : undefined);
    }
  }
}

function numbers(values: Float32Array, length: number, name: string): ExampleTensors {
  if (values.length !== length) {
    throw new GraftError('DATA_UNSUITABLE', `${name} has ${values.length} numbers, the model takes ${length}`);
  }
  return { x: tensor('float32', [length], values) };
}
