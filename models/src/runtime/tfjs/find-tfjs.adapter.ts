/**
 * Finds the fastest tfjs that works here. All of its packages are optional: they are looked for when graft runs, and a reason is kept
 * for each that is not taken. https://github.com/tensorflow/tfjs/tree/master/tfjs-node
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import util from 'node:util';

import { GraftError } from '@graft/core/error';

import type { TensorFlow } from './value.js';

/** From the fastest to the one that runs everywhere. */
export const tfjsBackends = ['tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'] as const;
export type TfjsBackendName = (typeof tfjsBackends)[number];

export interface TfjsChoice {
  /** Undefined where none works. */
  readonly backend: TfjsBackendName | undefined;
  /** What else is to be said of the one taken: its version and device. */
  readonly about: string;
  /** Why the others are not taken, in the order of `tfjsBackends`. */
  readonly reasons: readonly { readonly backend: TfjsBackendName; readonly reason: string }[];
}

export interface FindOptions {
  /** Only these, in this order. */
  readonly backends?: readonly TfjsBackendName[];
  /** A folder whose node_modules is searched before that of graft; GRAFT_TENSORFLOW_DIR unless given. */
  readonly from?: string;
}

export interface FoundTfjs extends TfjsChoice {
  readonly tf: TensorFlow | undefined;
}

/** Which backend would be used here, and why not the others. */
export async function chooseTfjsBackend(options: FindOptions = {}): Promise<TfjsChoice> {
  const { backend, about, reasons } = await findTfjs(options);
  return { backend, about, reasons };
}

export async function findTfjs(options: FindOptions): Promise<FoundTfjs> {
  const { backends = tfjsBackends, from = process.env['GRAFT_TENSORFLOW_DIR'] } = options;
  const reasons: { backend: TfjsBackendName; reason: string }[] = [];
  for (const [i, backend] of backends.entries()) {
    try {
      const tf = await open[backend](requireFrom(from));
      const about = `@tensorflow/tfjs-core ${tf.version_core}, ${tf.getBackend()} on ${deviceOf(tf)}`;
      const rest = backends.slice(i + 1).map((other) => ({ backend: other, reason: `${backend} comes first` }));
      return { tf, backend, about, reasons: [...reasons, ...rest] };
    } catch (error) {
      reasons.push({ backend, reason: reasonOf(error) });
    }
  }
  return { tf: undefined, backend: undefined, about: 'no backend works', reasons };
}

type Load = (name: string) => string;

interface Packages {
  readonly load: (name: string) => unknown;
  readonly resolve: Load;
}

/** Packages as the folder sees them, else as this file does. */
function requireFrom(folder: string | undefined): Packages {
  const own = createRequire(import.meta.url);
  const first = folder === undefined ? own : createRequire(join(folder, 'package.json'));
  const resolve: Load = (name) => {
    try {
      return first.resolve(name);
    } catch (error) {
      if (first === own) throw error;
      return own.resolve(name);
    }
  };
  return { resolve, load: (name) => own(resolve(name)) };
}

const open: Readonly<Record<TfjsBackendName, (packages: Packages) => Promise<TensorFlow>>> = {
  'tfjs-node-gpu': (packages) => openNative(packages, '@tensorflow/tfjs-node-gpu'),
  'tfjs-node': (packages) => openNative(packages, '@tensorflow/tfjs-node'),
  wasm: async (packages) => {
    const { tf, file, backend } = besideCore(packages, '@tensorflow/tfjs-backend-wasm');
    (backend as { setWasmPaths: (folder: string) => void }).setWasmPaths(`${dirname(file)}/`);
    return started(tf, 'wasm');
  },
  cpu: async (packages) => started(besideCore(packages, '@tensorflow/tfjs-backend-cpu').tf, 'cpu'),
};

/** A backend and the core that it registers with. */
function besideCore(packages: Packages, name: string): { tf: TensorFlow; file: string; backend: unknown } {
  const file = packages.resolve(name);
  const tf = moduleOf(createRequire(file)('@tensorflow/tfjs-core'));
  return { tf, file, backend: packages.load(name) };
}

/** The addon falls back to a slower backend without a word, so that the name is checked. */
async function openNative(packages: Packages, name: string): Promise<TensorFlow> {
  // TensorFlow tells its instruction sets and the like on standard error; its errors stay.
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  restoreForTfjsNode();
  return started(moduleOf(packages.load(name)), 'tensorflow');
}

/** tfjs-node 4.22 calls two functions that Node 23 took out of util. */
function restoreForTfjsNode(): void {
  const functions: Record<string, unknown> = util;
  functions['isNullOrUndefined'] ??= (value: unknown): boolean => value === null || value === undefined;
  functions['isArray'] ??= Array.isArray;
}

async function started(tf: TensorFlow, backend: string): Promise<TensorFlow> {
  // Else each operation is checked again, and the plain backend advertises the others.
  tf.enableProdMode();
  const worked = await tf.setBackend(backend);
  await tf.ready();
  if (!worked || tf.getBackend() !== backend)
    throw new GraftError('RUNTIME_REFUSED', `the backend is '${tf.getBackend()}' and not '${backend}'`);
  return tf;
}

function moduleOf(loaded: unknown): TensorFlow {
  return loaded as TensorFlow;
}

function deviceOf(tf: TensorFlow): string {
  const backend: { isUsingGpuDevice?: boolean } = tf.backend() as object;
  return backend.isUsingGpuDevice === true ? 'a GPU' : 'the CPU';
}

/** One line; of a package that is not there only that. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const missing = /Cannot find module '(@tensorflow\/[a-z-]+)'/.exec(text);
  if (missing !== null) return `${missing[1] ?? ''} is not installed`;
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
}
