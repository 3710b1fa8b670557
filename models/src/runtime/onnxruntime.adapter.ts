/**
 * ONNX Runtime behind the runtime port, through onnxruntime-node.
 * run() blocks its thread and a fault in native code ends the process: use this only in processes that may die.
 */
import * as ort from 'onnxruntime-node';

import { GraftError } from '@graft/core/error';
import { tensor, type DType, type Tensor } from '@graft/core/tensor';

import { encodeOnnx } from '../formats/onnx/export-onnx.js';
import { isOpaque } from '../graph/element-type.js';
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

/** A training graph of more nodes is optimised for longer than it may train. */
const optimizedNodes = 5_000;

/**
 * Inference has every optimisation. Training graphs have the fusions, but not the layouts of constants: those are chosen otherwise in a
 * loop, and several steps a run would not come to the bits of single ones.
 */
function levelOf(purpose: SessionOptions['purpose'], nodes: number): 'basic' | 'extended' | 'all' {
  if (purpose === 'inference') return 'all';
  return nodes > optimizedNodes ? 'basic' : 'extended';
}

function sessionOptions(
  { threads, purpose, provider = 'cpu' }: SessionOptions,
  nodes: number,
): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: levelOf(purpose, nodes),
    logSeverityLevel: errorsOnly,
    // Idle threads of several sessions would spin against each other.
    extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
  };
}

/** The runtime's view of a tensor, kept as long as the tensor: state that goes round comes back every second step. */
const views = new WeakMap<Tensor, ort.Tensor>();

function toOrt(value: Tensor): ort.Tensor {
  const known = views.get(value);
  if (known !== undefined) return known;
  const view = new ort.Tensor(value.dtype as 'float32', value.data as Float32Array, value.shape);
  views.set(value, view);
  return view;
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
    run: async (feeds: Feeds, into: Fetches = {}): Promise<Fetches> => {
      let outputs: ort.InferenceSession.OnnxValueMapType;
      try {
        outputs = await session.run(viewsOf(feeds), targetsOf(session.outputNames, into));
      } catch (cause) {
        throw new GraftError('RUNTIME_FAILED', `graph '${name}' did not run: ${reasonOf(cause)}`, { cause });
      }
      return Object.fromEntries(Object.entries(outputs).map(([key, value]) => [key, into[key] ?? fromOrt(key, value)]));
    },
    dispose: () => session.release(),
  };
}

function viewsOf(feeds: Feeds): Record<string, ort.Tensor> {
  return Object.fromEntries(Object.entries(feeds).map(([key, value]) => [key, toOrt(value)]));
}

/** Every output, with the tensor that it is written to or null for one of the runtime's own. */
function targetsOf(names: readonly string[], into: Fetches): Record<string, ort.Tensor | null> {
  const unknown = Object.keys(into).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new RangeError(`the graph has no output '${unknown}' to write`);
  return Object.fromEntries(
    names.map((name) => {
      const target = into[name];
      return [name, target === undefined ? null : toOrt(target)];
    }),
  );
}

/** ONNX Runtime ends the process where Node asks for an output of two elements a byte, so none of such types is asked for. */
function refuseOutputs({ graph }: Model): void {
  const output = graph.outputs.find(({ dtype }) => isOpaque(dtype));
  if (output === undefined) return;
  throw new GraftError(
    'RUNTIME_REFUSED',
    `ONNX Runtime does not load graph '${graph.name}': its output '${output.name}' has element type ${output.dtype}, which Node cannot take`,
  );
}

/** @throws GraftError RUNTIME_REFUSED where ONNX Runtime cannot load the graph, RUNTIME_FAILED where a run fails */
export const onnxRuntime: Runtime = {
  name: 'onnxruntime',
  load: async (model: Model, options: SessionOptions): Promise<Session> => {
    refuseOutputs(model);
    const bytes = encodeOnnx(model);
    let session: ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(bytes, sessionOptions(options, model.graph.nodes.length));
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
