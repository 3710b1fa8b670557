/**
 * ONNX Runtime behind the runtime port, through onnxruntime-node.
 * run() blocks its thread and a fault in native code ends the process: use this only in processes that may die.
 */
import * as ort from 'onnxruntime-node';

import { GraftError } from '@graft/core/error';
import { tensor, type DType, type Tensor } from '@graft/core/tensor';

import { encodeOnnx } from '../formats/onnx/export-onnx.js';
import type { Model } from '../graph/graph.js';
import type { Feeds, Fetches, Runtime, Session, SessionOptions } from './runtime.js';

/** The element types that both sides have an array for; the names are the same. */
const dtypes: ReadonlySet<string> = new Set<DType>([
  'float32',
  'float16',
  'float64',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
]);

const isDType = (name: string): name is DType => dtypes.has(name);

/** Only what goes wrong is logged: warnings name nodes that a user cannot change. */
const errorsOnly = 3;

function sessionOptions({ threads, purpose }: SessionOptions): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    // Constants fold and convolutions get their fastest layout at 'all'; a training graph has no constants to gain from it.
    graphOptimizationLevel: purpose === 'training' ? 'basic' : 'all',
    logSeverityLevel: errorsOnly,
    // Idle threads of several sessions would spin against each other.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  };
}

function toOrt({ dtype, data, shape }: Tensor): ort.Tensor {
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
}

function fromOrt(name: string, value: ort.Tensor): Tensor {
  if (!isDType(value.type))
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `output '${name}' has element type ${value.type}, which is not supported`,
    );
  return tensor(value.type, value.dims, value.data as never);
}

/** The runtime's sentence without its file and line numbers. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').slice(0, 500);

function openSession(session: ort.InferenceSession, name: string): Session {
  return {
    run: async (feeds: Feeds): Promise<Fetches> => {
      const inputs = Object.fromEntries(Object.entries(feeds).map(([key, value]) => [key, toOrt(value)]));
      let outputs: ort.InferenceSession.OnnxValueMapType;
      try {
        outputs = await session.run(inputs);
      } catch (cause) {
        throw new GraftError('RUNTIME_FAILED', `graph '${name}' did not run: ${reasonOf(cause)}`, { cause });
      }
      return Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, fromOrt(key, value)]));
    },
    dispose: () => session.release(),
  };
}

/** @throws GraftError RUNTIME_REFUSED where ONNX Runtime cannot load the graph, RUNTIME_FAILED where a run fails */
export const onnxRuntime: Runtime = {
  name: 'onnxruntime',
  load: async (model: Model, options: SessionOptions): Promise<Session> => {
    const bytes = encodeOnnx(model);
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(bytes, sessionOptions(options));
    } catch (cause) {
      throw new GraftError(
        'RUNTIME_REFUSED',
        `ONNX Runtime does not load graph '${model.graph.name}': ${reasonOf(cause)}`,
        { cause },
      );
    }
    return openSession(session, model.graph.name);
  },
};
