/** For specs: training steps of whole networks on tfjs against ONNX Runtime. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import type { Tensor } from '@graft/core/tensor';

import { relativeError } from '../../training/gradient-graph.contract.js';
import { stepScalars } from '../../training/optimizers/step-scalars.js';
import { scalarFeeds } from '../../training/step-feeds.js';
import { firstState, nextState } from '../../training/step-state.contract.js';
import { slotsOf, type TrainingStep } from '../../training/training-step.js';
import { onnxRuntime } from '../onnxruntime.adapter.js';
import type { DeviceTensor, Feeds, Session } from '../runtime.js';
import { batch, netOf, nets, options, stepOf, type Net } from './networks.contract.js';
import type { TfjsRuntime } from './tfjs.adapter.js';

const sgd = { kind: 'sgd' } as const;

/** A step of gradient descent so long that the new weights are the gradients, times -rate, to their last digits. */
const longRate = 2 ** 30;

async function gradientErrors(net: Net, runtime: TfjsRuntime): Promise<[name: string, error: number][]> {
  const step = stepOf(net, sgd);
  const feeds = {
    ...batch(step, net, 7),
    ...firstState(step, net.model.weights),
    ...scalarFeeds(step, stepScalars(sgd, longRate, 1)),
  };
  const [reference, other] = [await onnxRuntime.load(step, options), await runtime.load(step, options)];
  const [expected, got] = [await reference.run(feeds), await other.run(feeds)];
  await Promise.all([reference.dispose(), other.dispose()]);
  const names = [step.loss, ...slotsOf(step).map(({ output }) => output)];
  // A gradient that is zero but for rounding has no digits to compare: what counts is its size against the largest.
  const largest = Math.max(...slotsOf(step).map(({ output }) => norm(expected[output])));
  return names.map((name) => {
    const [a, b] = [numbers(got[name]), numbers(expected[name])];
    return [
      name,
      norm(expected[name]) < 1e-6 * largest && name !== step.loss ? norm(got[name]) / largest : relativeError(a, b),
    ];
  });
}

const numbers = (value: Tensor | undefined): ArrayLike<number> => (value?.dtype === 'float32' ? value.data : []);
const norm = (value: Tensor | undefined): number => Math.hypot(...Array.from(numbers(value)));

/** Losses of some steps, the state handed on by `advance`. */
async function losses(net: Net, session: Session, hand: 'downloaded' | 'on the device'): Promise<number[]> {
  const optimizer = { kind: 'adam' } as const;
  const step = stepOf(net, optimizer);
  const result: number[] = [];
  let state: Record<string, Tensor | DeviceTensor> = firstState(step, net.model.weights);
  for (let i = 1; i <= 4; i++) {
    const feeds = { ...batch(step, net, i), ...scalarFeeds(step, stepScalars(optimizer, 0.01, i)) };
    const [loss, next] =
      hand === 'downloaded'
        ? await downloadedStep(step, session, { feeds, state })
        : await deviceStep(step, session, { feeds, state });
    result.push(loss);
    state = next;
  }
  for (const value of Object.values(state)) if ('dispose' in value) value.dispose();
  return result;
}

interface Fed {
  readonly feeds: Feeds;
  readonly state: Readonly<Record<string, Tensor | DeviceTensor>>;
}

async function downloadedStep(
  step: TrainingStep,
  session: Session,
  { feeds, state }: Fed,
): Promise<[number, Record<string, Tensor>]> {
  const fetches = await session.run({ ...feeds, ...(state as Record<string, Tensor>) });
  return [numbers(fetches[step.loss])[0] ?? NaN, nextState(step, fetches)];
}

async function deviceStep(
  step: TrainingStep,
  session: Session,
  { feeds, state }: Fed,
): Promise<[number, Record<string, DeviceTensor>]> {
  const outputs = (await session.runOnDevice?.({ ...feeds, ...state })) ?? {};
  for (const value of Object.values(state)) if ('dispose' in value) value.dispose();
  const loss = outputs[step.loss];
  const first = numbers(await loss?.read())[0] ?? NaN;
  loss?.dispose();
  const next = slotsOf(step).flatMap(({ input, output }): [string, DeviceTensor][] => {
    const value = outputs[output];
    return value === undefined ? [] : [[input, value]];
  });
  return [first, Object.fromEntries(next)];
}

/** Registers the suite for a runtime that `open` finds; `backend` is the name that tfjs must then answer to. */
export function describeTraining(
  backend: string,
  open: () => Promise<TfjsRuntime>,
  names: readonly string[] = Object.keys(nets),
): void {
  describe(`training on tfjs, backend ${backend},`, () => {
    let runtime: TfjsRuntime;
    beforeAll(async () => {
      runtime = await open();
    });
    afterAll(() => {
      expect(runtime.tf.memory().numTensors).toBe(0);
    });

    it('runs where it says', () => {
      expect(runtime.tf.getBackend()).toBe(backend);
    });

    it.each(names)('gives %s the gradients that ONNX Runtime gives it', async (name) => {
      const errors = await gradientErrors(netOf(name), runtime);
      expect(errors.filter(([, error]) => !(error <= 1e-5))).toEqual([]);
      expect(errors.length).toBeGreaterThan(4);
    });

    it('takes steps whose state never leaves the device, and holds no more after the last than after the first', async () => {
      const net = netOf('a convolutional net');
      const step = stepOf(net, { kind: 'adam' });
      const [reference, other] = [await onnxRuntime.load(step, options), await runtime.load(step, options)];
      const expected = await losses(net, reference, 'downloaded');
      const got = await losses(net, other, 'on the device');
      expect(relativeError(got, expected)).toBeLessThan(1e-5);
      expect(expected[3]).not.toBe(expected[0]);
      const { numTensors, numBytes } = runtime.tf.memory();
      await losses(net, other, 'on the device');
      await losses(net, other, 'downloaded');
      expect(runtime.tf.memory()).toMatchObject({ numTensors, numBytes });
      await Promise.all([reference.dispose(), other.dispose()]);
    });
  });
}
