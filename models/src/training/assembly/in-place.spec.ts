/** What may be overwritten, by the graph and by running it. */
import { random } from '@graft/core/random';
import { bytesOf, elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { buildTrainingStep } from '../build-training-step.js';
import { modelOf } from '../gradient-graph.contract.js';
import { inPlaceInputs } from './in-place.js';
import { firstState, nextState, scalarFeeds, targetOf } from '../step-feeds.js';
import { slotsOf, type TrainingStep, type TrainingStepOptions } from '../training-step.js';

function numbers(seed: number, ...shape: number[]): Tensor<'float32'> {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.normal() * 0.1),
  );
}

/** The second weight is large enough to be updated alone, and the gradient of the first reads it. */
const weights = new Map([
  ['first', numbers(1, 20, 256)],
  ['large', numbers(2, 256, 256)],
  ['head', numbers(3, 256, 5)],
]);
const model = modelOf(['batch', 20], weights, {
  output: 'logits',
  nodes: (build) => {
    const hidden = build.add('Relu', [build.add('MatMul', ['x', 'first'])]);
    return build.add('MatMul', [build.add('Tanh', [build.add('MatMul', [hidden, 'large'])]), 'head']);
  },
});

const stepOf = (more: Partial<TrainingStepOptions> = {}): TrainingStep =>
  buildTrainingStep(model, {
    trainable: ['first', 'large', 'head'],
    loss: 'softmax-cross-entropy',
    optimizer: { kind: 'adam' },
    ...more,
  });

/** The weights after some steps, each output written into the buffer of its input where `safe` says so. */
async function trained(step: TrainingStep, safe: ReadonlySet<string>): Promise<Record<string, Tensor>> {
  const session = await onnxRuntime.load(step, { threads: 1, purpose: 'training' });
  const copies = [...weights].map(([name, { shape, data }]): [string, Tensor] => [
    name,
    tensor('float32', shape, data.slice()),
  ]);
  let state = firstState(step, new Map(copies));
  for (let i = 0; i < 6; i++) {
    const into = Object.fromEntries(
      slotsOf(step).flatMap(({ input, output }) => {
        const buffer = state[input];
        return safe.has(input) && buffer !== undefined ? [[output, buffer]] : [];
      }),
    );
    const feeds = {
      ...state,
      x: numbers(10 + i, 8, 20),
      [targetOf(step, 'labels').name]: tensor('int32', [8], Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2)),
      ...scalarFeeds(step, { rate: 0.01, epsilon: 1e-8 }),
    };
    state = nextState(step, await session.run(feeds, into));
  }
  await session.dispose();
  return state;
}

const sameBits = (a: Tensor | undefined, b: Tensor): boolean =>
  a !== undefined && Buffer.from(bytesOf(a)).equals(bytesOf(b));

describe('writing in place', () => {
  it('is safe for all optimizer state, and for no weight that a gradient still reads', () => {
    const step = stepOf();
    const safe = inPlaceInputs(step);
    expect(step.stateSlots.every(({ input }) => safe.has(input))).toBe(true);
    expect(safe.has('first')).toBe(true);
    expect(safe.has('large')).toBe(false);
  });

  it('is safe for every weight where the norm of all gradients is needed first', () => {
    const step = stepOf({ clipNorm: 1 });
    expect(slotsOf(step).filter(({ input }) => !inPlaceInputs(step).has(input))).toEqual([]);
  });

  it.each<[string, Partial<TrainingStepOptions>]>([
    ['Adam', {}],
    ['clipping', { clipNorm: 0.5 }],
    ['SGD with momentum', { optimizer: { kind: 'sgd', momentum: 0.9 } }],
  ])('gives under %s the bits of separate buffers', async (_, more) => {
    const step = stepOf(more);
    const apart = await trained(step, new Set());
    const together = await trained(step, inPlaceInputs(step));
    for (const [input, value] of Object.entries(apart))
      expect({ input, same: sameBits(together[input], value) }).toEqual({ input, same: true });
  });
});
