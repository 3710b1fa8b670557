/**
 * The messages of an ONNX file that graft reads and writes, as a protobufjs reflection.
 * Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers and names; camelCase here).
 * Fields that are not listed are skipped by the decoder; those that change the meaning of a model are listed, to be refused.
 */
import protobuf from 'protobufjs/light.js';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';

import { checkBudget } from './wire-budget.js';

/** An int64 as protobufjs gives it: a Long where it decodes, a number where we encode. */
export type Int64 = number | { readonly low: number; readonly high: number; toNumber(): number };

export interface EntryProto {
  key?: string;
  value?: string;
}

export interface TensorProto {
  dims?: readonly Int64[];
  dataType?: number;
  segment?: object;
  floatData?: readonly number[];
  int32Data?: readonly number[];
  stringData?: readonly Uint8Array[];
  int64Data?: readonly Int64[];
  name?: string;
  rawData?: Uint8Array;
  doubleData?: readonly number[];
  uint64Data?: readonly Int64[];
  externalData?: readonly EntryProto[];
  dataLocation?: number;
}

export interface AttributeProto {
  name?: string;
  refAttrName?: string;
  type?: number;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  floats?: readonly number[];
  ints?: readonly Int64[];
  strings?: readonly Uint8Array[];
  tp?: TypeProto;
}

export interface DimensionProto {
  dimValue?: Int64;
  dimParam?: string;
}

export interface TypeProto {
  tensorType?: { elemType?: number; shape?: { dim?: readonly DimensionProto[] } };
  sequenceType?: { elemType?: TypeProto };
  mapType?: object;
  sparseTensorType?: object;
  optionalType?: { elemType?: TypeProto };
}

export interface ValueInfoProto {
  name?: string;
  type?: TypeProto;
}

export interface NodeProto {
  input?: readonly string[];
  output?: readonly string[];
  name?: string;
  opType?: string;
  domain?: string;
  overload?: string;
  attribute?: readonly AttributeProto[];
}

export interface GraphProto {
  node?: readonly NodeProto[];
  name?: string;
  initializer?: readonly TensorProto[];
  sparseInitializer?: readonly object[];
  input?: readonly ValueInfoProto[];
  output?: readonly ValueInfoProto[];
}

export interface FunctionProto {
  name?: string;
  domain?: string;
  overload?: string;
  input?: readonly string[];
  output?: readonly string[];
  /** Attributes that a caller must give. */
  attribute?: readonly string[];
  /** Attributes with a value for callers that leave them out. */
  attributeProto?: readonly AttributeProto[];
  node?: readonly NodeProto[];
  opsetImport?: readonly OperatorSetProto[];
}

export interface OperatorSetProto {
  domain?: string;
  version?: Int64;
}

export interface ModelProto {
  irVersion?: Int64;
  opsetImport?: readonly OperatorSetProto[];
  producerName?: string;
  graph?: GraphProto;
  metadataProps?: readonly EntryProto[];
  trainingInfo?: readonly object[];
  functions?: readonly FunctionProto[];
}

const one = (type: string, id: number): protobuf.IField => ({ type, id });
const many = (type: string, id: number): protobuf.IField => ({ type, id, rule: 'repeated' });
const packed = (type: string, id: number): protobuf.IField => ({ ...many(type, id), options: { packed: true } });

const messages: Readonly<Record<string, Record<string, protobuf.IField>>> = {
  Empty: {},
  Entry: { key: one('string', 1), value: one('string', 2) },
  Tensor: {
    dims: many('int64', 1),
    dataType: one('int32', 2),
    segment: one('Empty', 3),
    floatData: packed('float', 4),
    int32Data: packed('int32', 5),
    stringData: many('bytes', 6),
    int64Data: packed('int64', 7),
    name: one('string', 8),
    rawData: one('bytes', 9),
    doubleData: packed('double', 10),
    uint64Data: packed('uint64', 11),
    externalData: many('Entry', 13),
    dataLocation: one('int32', 14),
  },
  Attribute: {
    name: one('string', 1),
    f: one('float', 2),
    i: one('int64', 3),
    s: one('bytes', 4),
    t: one('Tensor', 5),
    g: one('Graph', 6),
    floats: many('float', 7),
    ints: many('int64', 8),
    strings: many('bytes', 9),
    tp: one('Type', 14),
    type: one('int32', 20),
    refAttrName: one('string', 21),
  },
  Dimension: { dimValue: one('int64', 1), dimParam: one('string', 2) },
  Shape: { dim: many('Dimension', 1) },
  TensorType: { elemType: one('int32', 1), shape: one('Shape', 2) },
  Type: {
    tensorType: one('TensorType', 1),
    sequenceType: one('Inner', 4),
    mapType: one('Empty', 5),
    sparseTensorType: one('Empty', 8),
    optionalType: one('Inner', 9),
  },
  Inner: { elemType: one('Type', 1) },
  ValueInfo: { name: one('string', 1), type: one('Type', 2) },
  Node: {
    input: many('string', 1),
    output: many('string', 2),
    name: one('string', 3),
    opType: one('string', 4),
    attribute: many('Attribute', 5),
    domain: one('string', 7),
    overload: one('string', 8),
  },
  Graph: {
    node: many('Node', 1),
    name: one('string', 2),
    initializer: many('Tensor', 5),
    input: many('ValueInfo', 11),
    output: many('ValueInfo', 12),
    sparseInitializer: many('Empty', 15),
  },
  OperatorSet: { domain: one('string', 1), version: one('int64', 2) },
  Model: {
    irVersion: one('int64', 1),
    producerName: one('string', 2),
    graph: one('Graph', 7),
    opsetImport: many('OperatorSet', 8),
    metadataProps: many('Entry', 14),
    trainingInfo: many('Empty', 20),
    functions: many('Function', 25),
  },
  Function: {
    name: one('string', 1),
    input: many('string', 4),
    output: many('string', 5),
    attribute: many('string', 6),
    node: many('Node', 7),
    opsetImport: many('OperatorSet', 9),
    domain: one('string', 10),
    attributeProto: many('Attribute', 11),
    overload: one('string', 13),
  },
};

// onnx.proto is proto2: a field that is present with its default value, a dimension of size 0, is not an absent one.
const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(Object.entries(messages).map(([name, fields]) => [name, { fields, edition: 'proto2' }])),
});
const modelType = root.lookupType('Model');
const tensorType = root.lookupType('Tensor');

/** Reads a file; tensors' raw data are views into `bytes`. */
export function decodeModelProto(bytes: Uint8Array): ModelProto {
  if (bytes.length > limits.onnxBytes) {
    throw new GraftError('MODEL_TOO_LARGE', `an ONNX file of ${bytes.length} bytes, the limit is ${limits.onnxBytes}`);
  }
  try {
    checkBudget(bytes, messages);
    const message: object = modelType.decode(bytes);
    return message;
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('MODEL_MALFORMED', `the file is not an ONNX model: ${reason}`, { cause });
  }
}

/** Reads a tensor that is a file of its own, as the data of the ONNX tests are; raw data are views into `bytes`. */
export function decodeTensorProto(bytes: Uint8Array): TensorProto {
  try {
    checkBudget(bytes, messages, { root: 'Tensor' });
    const message: object = tensorType.decode(bytes);
    return message;
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('MODEL_MALFORMED', `the file is not an ONNX tensor: ${reason}`, { cause });
  }
}

/** Writes fields in the order of their numbers, so that equal messages are equal bytes. */
export function encodeModelProto(model: ModelProto): Uint8Array {
  const bytes = modelType.encode(model).finish();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An int64 as a number. Throws where a number cannot hold it. */
export function integer(value: Int64 | undefined, what: string): number {
  const number = typeof value === 'object' ? value.toNumber() : (value ?? 0);
  if (!Number.isSafeInteger(number)) throw new GraftError('MODEL_MALFORMED', `${what} is ${number}, past 2^53`);
  return number;
}

/** An int64 in full: exporters write the largest one where they mean 'to the end'. */
export function wholeInteger(value: Int64 | undefined): bigint {
  if (typeof value !== 'object') return BigInt(value ?? 0);
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}
