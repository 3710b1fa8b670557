/** Whether the runtime loads and computes on this machine: the smallest graph there is. */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';

import { GraftError } from '@graft/core/error';
import { tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { oneThread } from './resident-sessions.adapter.js';
import type { RuntimeReport } from './trainer-calls.js';
import type { Engine } from './training/engine.adapter.js';

const pair = { dtype: 'float32', shape: [2] } as const;

const doubling: Model = {
  graph: {
    name: 'doubling',
    inputs: [{ name: 'x', ...pair }],
    outputs: [{ name: 'y', ...pair }],
    weights: [],
    nodes: [{ name: 'double', op: 'Add', domain: '', inputs: ['x', 'x'], outputs: ['y'], attributes: {} }],
  },
  weights: new Map(),
};

/** Throws what opening the engine and its runtime throw, INTERNAL where it computes wrongly. */
export async function reportRuntime(openEngine: () => Promise<Engine>): Promise<RuntimeReport> {
  const startedAtMs = performance.now();
  const { runtime, provider, about } = await openEngine();
  const on = provider === undefined ? {} : { provider };
  const session = await runtime.load(doubling, { ...oneThread, ...on, purpose: 'inference' });
  const { y } = await session.run({ x: tensor('float32', [2], Float32Array.of(1, 2)) });
  await session.dispose();
  if (y?.dtype !== 'float32' || y.data.join() !== '2,4') {
    throw new GraftError('INTERNAL', `${runtime.name} says that 1 + 1, 2 + 2 is ${y?.data.join() ?? 'nothing'}`);
  }
  return {
    name: runtime.name,
    device: provider ?? runtime.name,
    about,
    threads: availableParallelism(),
    startMs: Math.round(performance.now() - startedAtMs),
  };
}
