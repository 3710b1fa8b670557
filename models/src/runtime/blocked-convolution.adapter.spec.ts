/** The blocked layout is used where it was tried and found right, and only there. */
import { GraftError } from '@graft/core/error';

import { sessionLowering, tryBlocks, tryFusedProducts } from './blocked-convolution.adapter.js';
import { onnxRuntime } from './onnxruntime.adapter.js';
import type { Runtime } from './runtime.js';

const isOwn = ({ graph }: Parameters<Runtime['load']>[0]): boolean =>
  graph.nodes.some(({ domain, op }) => domain.startsWith('com.microsoft') && op !== 'ReorderInput');

/** ONNX Runtime with its answers to graphs of its own operators changed. */
const altered = (change: (value: number) => number): Runtime => ({
  ...onnxRuntime,
  load: async (model, options) => {
    const session = await onnxRuntime.load(model, options);
    if (!isOwn(model)) return session;
    return {
      ...session,
      run: async (feeds) => {
        const fetches = await session.run(feeds);
        const [last] = Object.values(fetches).slice(-1);
        if (last?.dtype === 'float32') last.data[0] = change(last.data[0] ?? 0);
        return fetches;
      },
    };
  },
});

describe('the lowering of a session', () => {
  it('has blocks of a known width where the processor has vectors', async () => {
    const { blockedChannels } = await tryBlocks(onnxRuntime);
    expect(process.arch === 'x64' ? [8, 16] : [8, 16, undefined]).toContain(blockedChannels);
  });

  it('turns factors as they are multiplied', async () => {
    expect(await tryFusedProducts(onnxRuntime)).toEqual({ fusedProducts: true });
  });

  it('is tried once a process', async () => {
    expect(await sessionLowering()).toBe(await sessionLowering());
  });

  it('is the standard one where a runtime refuses the operators', async () => {
    const refusing: Runtime = {
      ...onnxRuntime,
      load: () => Promise.reject(new GraftError('RUNTIME_REFUSED', 'no such operator')),
    };
    expect(await tryBlocks(refusing)).toEqual({});
    expect(await tryFusedProducts(refusing)).toEqual({});
  });

  it.each([
    ['a little wrong', (value: number) => value + 1e-3],
    ['not a number', () => NaN],
  ])('is the standard one where a gradient is %s', async (_, change) => {
    expect(await tryBlocks(altered(change))).toEqual({});
    expect(await tryFusedProducts(altered(change))).toEqual({});
  });
});
