/**
 * The safetensors format (https://github.com/huggingface/safetensors, README 'Format'):
 * 8 bytes little-endian header length, a JSON header, then the tensors' bytes without holes.
 * Written bytes are a function of names and values alone: widest elements first, then by name, so that
 * equal weights have equal hashes and every view is aligned.
 */
import {
  bytesOf,
  bytesPerElement,
  elementCount,
  tensorFromBytes,
  type DType,
  type Tensor,
  type Weights,
} from '@graft/core/tensor';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

const codeOf = {
  float32: 'F32',
  float16: 'F16',
  float64: 'F64',
  int8: 'I8',
  uint8: 'U8',
  int16: 'I16',
  uint16: 'U16',
  int32: 'I32',
  uint32: 'U32',
  int64: 'I64',
  uint64: 'U64',
  bool: 'BOOL',
  bfloat16: 'BF16',
  float8e4m3fn: 'F8_E4M3',
  float8e4m3fnuz: 'F8_E4M3FNUZ',
  float8e5m2: 'F8_E5M2',
  float8e5m2fnuz: 'F8_E5M2FNUZ',
} as const satisfies Record<DType, string>;

const dtypeOf = new Map<unknown, DType>(Object.entries(codeOf).map(([dtype, code]) => [code, dtype as DType]));

const metadataKey = '__metadata__';

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** One file with all tensors. */
export function encodeSafetensors(weights: Weights, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const { bytes, offsets } = emptySafetensors(weights, metadata);
  for (const [name, value] of weights) bytes.set(bytesOf(value), offsets.get(name));
  return bytes;
}

/** What a file needs to know of a tensor before it holds its values. */
type Outline = Pick<Tensor, 'dtype' | 'shape'>;

/**
 * A file whose tensors are zeros yet, and the place of each in it: for whoever makes the values where they are to lie.
 * @param outlines tensors, or only their types and shapes
 */
export function emptySafetensors(
  outlines: ReadonlyMap<string, Outline>,
  metadata?: Readonly<Record<string, string>>,
): { readonly bytes: Uint8Array; readonly offsets: ReadonlyMap<string, number> } {
  const sorted = [...outlines].sort(
    ([nameA, a], [nameB, b]) =>
      bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (nameA < nameB ? -1 : nameA > nameB ? 1 : 0),
  );
  const header = new Map<string, unknown>();
  if (metadata !== undefined) header.set(metadataKey, metadata);
  const begins = new Map<string, number>();
  let end = 0;
  for (const [name, { dtype, shape }] of sorted) {
    if (name === metadataKey) throw malformed(`a tensor cannot have the reserved name '${metadataKey}'`);
    const begin = end;
    begins.set(name, begin);
    end += elementCount(shape) * bytesPerElement[dtype];
    header.set(name, { dtype: codeOf[dtype], shape, data_offsets: [begin, end] });
  }
  const text = new TextEncoder().encode(jsonOf(header));
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(start + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.fill(0x20, 8, start);
  bytes.set(text, 8);
  return { bytes, offsets: new Map([...begins].map(([name, begin]) => [name, start + begin])) };
}

/**
 * The tensors of a file as views into `bytes`. Throws WEIGHTS_MALFORMED for anything the format forbids,
 * before anything is allocated for it.
 */
export function decodeSafetensors(bytes: Uint8Array): {
  weights: Map<string, Tensor>;
  metadata: Record<string, string>;
} {
  const { header, dataStart } = readHeader(bytes);
  const data = bytes.subarray(dataStart);
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) metadata = readMetadata(value);
    else entries.push(readEntry(name, value));
  }
  checkCoverage(entries, data.length);
  const weights = new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [
      name,
      tensorFromBytes(dtype, shape, data.subarray(begin, end)),
    ]),
  );
  return { weights, metadata };
}

/** Where a tensor lies in its file. */
export interface StoredTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Of its bytes in the file, and the byte after the last. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Where the tensors of a file lie, without their bytes.
 * @param head the file from its start, at least to the end of its header
 * @param fileBytes its whole size
 * Throws WEIGHTS_MALFORMED for anything the format forbids.
 */
export function safetensorsLayout(head: Uint8Array, fileBytes: number): Map<string, StoredTensor> {
  const { header, dataStart } = readHeader(head);
  const entries = Object.entries(header).flatMap(([name, value]) =>
    name === metadataKey ? [] : [readEntry(name, value)],
  );
  checkCoverage(entries, fileBytes - dataStart);
  return new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [
      name,
      { dtype, shape, begin: dataStart + begin, end: dataStart + end },
    ]),
  );
}

/** Keeps insertion order for every name, integer-like ones too, which an object would move to the front. */
function jsonOf(header: ReadonlyMap<string, unknown>): string {
  return `{${[...header].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
}

function readHeader(bytes: Uint8Array): { header: object; dataStart: number } {
  if (bytes.length < 8) throw malformed(`a file of ${bytes.length} bytes is too short for the header length`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const declared = view.getBigUint64(0, true);
  if (declared > BigInt(limits.safetensorsHeaderBytes)) {
    throw malformed(`the header claims ${declared} bytes, the limit is ${limits.safetensorsHeaderBytes}`);
  }
  const length = Number(declared);
  if (8 + length > bytes.length) throw malformed(`the header claims ${length} bytes, the file has ${bytes.length - 8}`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (cause) {
    throw malformed('the header is not UTF-8 JSON', cause);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw malformed('the header is not a JSON object');
  }
  return { header, dataStart: 8 + length };
}

function readMetadata(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(`'${metadataKey}' is not an object`);
  }
  const pairs = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text !== 'string') throw malformed(`metadata '${key}' is not a string`);
    return [key, text];
  });
  return Object.fromEntries(pairs);
}

function readEntry(name: string, value: unknown): Entry {
  if (typeof value !== 'object' || value === null) throw malformed(`tensor '${name}' is not an object`);
  const { dtype: code, shape, data_offsets: offsets } = value as Record<string, unknown>;
  const dtype = dtypeOf.get(code);
  if (dtype === undefined)
    throw malformed(`tensor '${name}' has dtype ${JSON.stringify(code)}, which is not supported`);
  if (!isSizes(shape)) throw malformed(`tensor '${name}' has a shape that is not a list of sizes`);
  if (!isSizes(offsets)) throw malformed(`tensor '${name}' has data_offsets that are not two sizes`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2 || end < begin) {
    throw malformed(`tensor '${name}' has data_offsets [${offsets.join(', ')}]`);
  }
  // A product past 2^53 is inexact but never small, so the comparison still refuses it.
  const needed = shape.reduce((product, size) => product * size, bytesPerElement[dtype]);
  if (needed !== end - begin) {
    throw malformed(`tensor '${name}' of shape [${shape.join(', ')}] needs ${needed} bytes, has ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** No hole, no overlap, nothing beyond the end: a repeated name leaves a hole, since JSON keeps the last. */
function checkCoverage(entries: readonly Entry[], dataBytes: number): void {
  let position = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== position)
      throw malformed(`tensor '${name}' begins at ${begin}, the one before it ends at ${position}`);
    position = end;
  }
  if (position !== dataBytes) throw malformed(`the tensors cover ${position} bytes of ${dataBytes}`);
}

function malformed(message: string, cause?: unknown): GraftError {
  return new GraftError('WEIGHTS_MALFORMED', `safetensors: ${message}`, { cause });
}
