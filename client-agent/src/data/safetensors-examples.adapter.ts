/**
 * Examples out of safetensors files: a tensor of examples [N, ...] and one of whole numbers [N], their labels.
 * Only headers and labels are kept; an example's bytes are read for its hash, and again when it is used.
 */
import { createHash } from 'node:crypto';
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { bytesPerElement, elementCount, tensorFromBytes, type DType, type Tensor } from '@graft/core/tensor';
import type { StoredTensor } from '@graft/models/formats/safetensors';
import { widen } from '@graft/models/quantize/downlink';

import type { DataConfig } from '../config/data-config.js';
import { dataLimits, type Example, type ExampleSource, type SkipList } from './dataset.js';
import { readHeader } from './safetensors-header.adapter.js';

type TensorConfig = Extract<DataConfig, { format: 'safetensors' }>;

type TensorSource = Extract<ExampleSource, { kind: 'tensor' }>;

/** Bytes that are read at a time, of as many examples as fit. */
const readBytes = 4 << 20;

/** Throws DATA_NOT_FOUND; a file that is not as it should be is skipped and named. */
export async function readTensorFiles(config: TensorConfig, skipped: SkipList): Promise<Example[]> {
  const examples: Example[] = [];
  for (const file of await filesOf(config.path)) {
    try {
      for (const example of await examplesOf(file, config)) examples.push(example);
    } catch (error) {
      if (!(error instanceof GraftError)) throw error;
      skipped.add(basename(file), error.message);
    }
    if (examples.length > limits.examplesPerUpdate) {
      throw new GraftError(
        'DATA_CONFIG_INVALID',
        `${config.path} has more than ${limits.examplesPerUpdate} examples, the limit`,
      );
    }
  }
  return examples;
}

/** The examples of a file that are to be answered: its tensor `x` [N, ...]. Throws DATA_NOT_FOUND, DATA_FILE_UNREADABLE, WEIGHTS_MALFORMED. */
export async function tensorInputs(
  path: string,
  x: string,
): Promise<{ readonly name: string; readonly source: TensorSource }[]> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new GraftError('DATA_NOT_FOUND', `${path} cannot be read`, { cause });
  });
  try {
    const stored = checkedExamples(tensorOf(await readHeader(file), x), x);
    return Array.from({ length: stored.count }, (_, i) => ({
      name: `${path} ${x}[${i}]`,
      source: sourceAt(path, stored, i),
    }));
  } finally {
    await file.close();
  }
}

/** One example as it is stored, half precision widened. Throws DATA_FILE_UNREADABLE where the file has changed since it was scanned. */
export async function readTensor(source: TensorSource, name: string): Promise<Tensor> {
  const { path, offset, dtype, shape } = source;
  const bytes = new Uint8Array(elementCount(shape) * bytesPerElement[dtype]);
  try {
    const file = await open(path, 'r');
    try {
      await fill(file, bytes, offset);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new GraftError('DATA_FILE_UNREADABLE', `${name} cannot be read: ${messageOf(cause)}`, { cause });
  }
  return widen(tensorFromBytes(dtype, shape, bytes));
}

async function filesOf(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = (await readdir(path)).filter((name) => name.endsWith('.safetensors') && !name.startsWith('.'));
    return names.sort().map((name) => join(path, name));
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `${path} cannot be read`, { cause });
  }
}

async function examplesOf(path: string, { x, y }: TensorConfig): Promise<Example[]> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new GraftError('DATA_FILE_UNREADABLE', `it cannot be opened: ${messageOf(cause)}`, { cause });
  });
  try {
    const header = await readHeader(file);
    const stored = checkedExamples(tensorOf(header, x), x);
    const { count } = stored;
    const labels = await labelsOf(file, tensorOf(header, y), y);
    if (labels.length !== count) throw unreadable(`'${x}' has ${count} examples and '${y}' ${labels.length} labels`);
    const found: Example[] = [];
    for await (const hash of hashes(file, stored)) {
      const index = found.length;
      const name = `${basename(path)} ${x}[${index}]`;
      found.push({ name, hash, label: labels[index] ?? '', source: sourceAt(path, stored, index) });
    }
    return found;
  } finally {
    await file.close();
  }
}

/** A tensor of examples, and what one of them is. */
interface StoredExamples {
  readonly begin: number;
  readonly count: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly exampleBytes: number;
}

function checkedExamples({ shape: all, dtype, begin }: StoredTensor, name: string): StoredExamples {
  const [count = 0, ...shape] = all;
  const exampleBytes = elementCount(shape) * bytesPerElement[dtype];
  if (all.length < 2) throw unreadable(`'${name}' is [${all.join(', ')}], expected [N, ...]`);
  if (exampleBytes < 1 || exampleBytes > dataLimits.tensorBytes) {
    throw unreadable(`an example of '${name}' has ${exampleBytes} bytes, the limit is ${dataLimits.tensorBytes}`);
  }
  if (count > limits.examplesPerUpdate) {
    throw unreadable(`'${name}' has ${count} examples, the limit is ${limits.examplesPerUpdate}`);
  }
  return { begin, count, dtype, shape, exampleBytes };
}

function sourceAt(path: string, { begin, dtype, shape, exampleBytes }: StoredExamples, index: number): TensorSource {
  return { kind: 'tensor', path, offset: begin + index * exampleBytes, dtype, shape };
}

function tensorOf(header: ReadonlyMap<string, StoredTensor>, name: string): StoredTensor {
  const found = header.get(name);
  if (found !== undefined) return found;
  const known = [...header.keys()].slice(0, 12).join(', ') || 'none';
  throw unreadable(`it has no tensor '${name}'; its tensors are ${known}`);
}

/** As text: the label of data.yaml's mapping. */
async function labelsOf(file: FileHandle, { dtype, shape, begin, end }: StoredTensor, name: string): Promise<string[]> {
  if (shape.length !== 1) throw unreadable(`'${name}' is [${shape.join(', ')}], expected [N]`);
  if (end - begin > limits.examplesPerUpdate * 8) {
    throw unreadable(`'${name}' has ${shape[0]} labels, the limit is ${limits.examplesPerUpdate}`);
  }
  const bytes = new Uint8Array(end - begin);
  await fill(file, bytes, begin);
  const { data } = widen(tensorFromBytes(dtype, shape, bytes));
  const labels: string[] = [];
  for (const value of data) {
    if (typeof value === 'number' && !Number.isInteger(value)) {
      throw unreadable(`'${name}' has ${value} at ${labels.length}, expected whole numbers`);
    }
    labels.push(String(value));
  }
  return labels;
}

/** sha256 of type, shape and bytes of each example, in order. */
async function* hashes(
  file: FileHandle,
  { begin: start, count, dtype, shape, exampleBytes }: StoredExamples,
): AsyncGenerator<string> {
  const perRead = Math.max(1, Math.floor(readBytes / exampleBytes));
  const kind = `${dtype} ${shape.join('x')} `;
  for (let begin = 0; begin < count; begin += perRead) {
    const some = Math.min(perRead, count - begin);
    const bytes = new Uint8Array(some * exampleBytes);
    await fill(file, bytes, start + begin * exampleBytes);
    for (let i = 0; i < some; i++) {
      const example = bytes.subarray(i * exampleBytes, (i + 1) * exampleBytes);
      yield createHash('sha256').update(kind).update(example).digest('hex');
    }
  }
}

async function fill(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0) throw unreadable(`it ends at byte ${position + done}`);
    done += bytesRead;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const unreadable = (message: string): GraftError => new GraftError('DATA_FILE_UNREADABLE', message);
