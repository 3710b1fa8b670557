/**
 * TensorFlow.js behind the runtime port: the same graphs as on ONNX Runtime, training graphs included.
 * Its native backend blocks its thread and may end the process: use it only in processes that may die.
 */
import { GraftError } from '@graft/core/error';
import { bytesOf, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import type { DeviceTensor, Fetches, Runtime, Session } from '../runtime.js';
import { findTfjs, type FindOptions, type TfjsBackendName, type TfjsChoice } from './find-tfjs.adapter.js';
import { loadModel, runModel } from './program.js';
import type { TensorFlow, Value } from './value.js';

export interface TfjsRuntime extends Runtime {
  readonly name: 'tfjs';
  readonly backend: TfjsBackendName;
  readonly choice: TfjsChoice;
  /** The library itself, for its memory and profile. */
  readonly tf: TensorFlow;
}

/** The second runtime on the fastest backend that works here. Throws RUNTIME_REFUSED with the reason of each where none does. */
export async function openTfjs(options: FindOptions = {}): Promise<TfjsRuntime> {
  const { tf, ...choice } = await findTfjs(options);
  const { backend, reasons } = choice;
  if (tf === undefined || backend === undefined) {
    const list = reasons.map((each) => `${each.backend}: ${each.reason}`).join('; ');
    throw new GraftError('RUNTIME_REFUSED', `no backend of tfjs works here (${list})`);
  }
  const device = tf.getBackend();
  const load = (model: Model): Promise<Session> =>
    onDevice(tf, device, () => {
      const loaded = loadModel(tf, model);
      const compute = (feeds: Readonly<Record<string, Tensor | DeviceTensor>>): Promise<Map<string, Value>> =>
        onDevice(tf, device, () => runModel(tf, loaded, feeds));
      return {
        run: async (feeds, into) => download(await compute(feeds), into),
        runOnDevice: async (feeds) => Object.fromEntries(await compute(feeds)),
        dispose: async () => {
          for (const value of loaded.constants.values()) value.dispose();
          return Promise.resolve();
        },
      };
    });
  return { name: 'tfjs', backend, choice, tf, load };
}

/** tfjs has one current backend for the whole process, also where its core is there twice: what runs on it waits for its turn. */
let turns: Promise<unknown> = Promise.resolve();

function onDevice<T>(tf: TensorFlow, device: string, work: () => T): Promise<T> {
  const turn = async (): Promise<T> => {
    if (tf.getBackend() !== device) await tf.setBackend(device);
    return work();
  };
  const mine = turns.then(turn, turn);
  turns = mine.catch(() => undefined);
  return mine;
}

/** Reads all outputs, into the given tensors where there are such, and frees them. */
async function download(outputs: ReadonlyMap<string, Value>, into: Fetches | undefined): Promise<Fetches> {
  try {
    const fetches: Record<string, Tensor> = {};
    for (const [name, value] of outputs) {
      const read = await value.read();
      const target = into?.[name];
      fetches[name] = target === undefined ? read : written(name, read, target);
    }
    return fetches;
  } finally {
    for (const value of outputs.values()) value.dispose();
  }
}

function written(name: string, value: Tensor, target: Tensor): Tensor {
  if (value.dtype !== target.dtype || value.shape.join() !== target.shape.join()) {
    const [given, is] = [target, value].map(({ dtype, shape }) => `${dtype} [${shape.join(', ')}]`);
    throw new GraftError('RUNTIME_FAILED', `output '${name}' is ${is}, it cannot be written to ${given}`);
  }
  bytesOf(target).set(bytesOf(value));
  return target;
}
