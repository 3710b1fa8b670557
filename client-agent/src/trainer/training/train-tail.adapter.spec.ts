import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { jest } from '@jest/globals';
import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';
import type { Model } from '@graft/models/graph/graph';
import { standardLowering } from '@graft/models/operators/lowering';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import { batchesFor } from '@graft/models/training/training-session';

import type { Progress } from '../trainer-calls.js';
import { TrainingSteps, type TailTraining, type TrainedTail } from './train-tail.adapter.js';

// Processes and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft training '));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const [count, columns, classes] = [64, 6, 3];
const stream = random(4);
const features = tensor('float32', [count, columns], Float32Array.from({ length: count * columns }, stream.normal));
const labels = tensor(
  'int32',
  [count],
  Int32Array.from({ length: count }, () => stream.below(classes)),
);

const model: Model = {
  graph: {
    name: 'linear',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['batch', columns] }],
    outputs: [{ name: 'logits', dtype: 'float32', shape: ['batch', classes] }],
    weights: [{ name: 'w', dtype: 'float32', shape: [columns, classes] }],
    nodes: [{ name: 'product', op: 'MatMul', domain: '', inputs: ['x', 'w'], outputs: ['logits'], attributes: {} }],
  },
  weights: new Map<string, Tensor>([['w', tensor('float32', [columns, classes], new Float32Array(columns * classes))]]),
};

const training = (change: Partial<TailTraining['spec']> = {}): TailTraining => ({
  graphKey: 'linear',
  valuesKey: 'zeros',
  model,
  trainable: ['w'],
  spec: {
    loss: 'softmax-cross-entropy',
    optimizer: 'adam',
    learningRate: 0.01,
    epochs: 50,
    batchSize: 8,
    ...change,
  },
  seed: 3,
  trunk: 'none',
  places: { training: join(folder, 'training'), pauseFile: join(folder, 'paused.json') },
  batches: (step) => batchesFor(step, { inputs: { x: features }, targets: { labels } }),
  references: () => ({}),
  count,
});

const engine = () => Promise.resolve({ runtime: onnxRuntime, lowering: standardLowering, about: 'onnxruntime on cpu' });

interface Running {
  readonly seen: Progress[];
  readonly abort: AbortController;
  readonly trained: Promise<TrainedTail>;
}

function start(one: TailTraining, onProgress: (progress: Progress) => void = () => undefined): Running {
  const [seen, abort]: [Progress[], AbortController] = [[], new AbortController()];
  const trained = new TrainingSteps(engine).train(one, {
    signal: abort.signal,
    onProgress: (progress) => {
      seen.push(progress);
      onProgress(progress);
    },
  });
  return { seen, abort, trained };
}

const checkpoints = (): Promise<string[]> => readdir(join(folder, 'training')).catch(() => []);

/** Pauses when the training has begun, and waits until it stands still. */
async function paused(one: TailTraining): Promise<Running> {
  let isTold = false;
  const running = start(one, ({ step }) => {
    if (step === undefined || isTold) return;
    isTold = true;
    void writeFile(one.places.pauseFile, '{}');
  });
  running.trained.catch(() => undefined);
  while (!running.seen.some(({ activity }) => activity === 'paused')) await sleep(20);
  while (!(await checkpoints()).some((name) => name.endsWith('.checkpoint'))) await sleep(20);
  return running;
}

/** Long enough that a pause comes in the middle of it. */
const long = { epochs: 500 } as const;

let uninterrupted: Promise<TrainedTail> | undefined;
const whole = (): Promise<TrainedTail> => (uninterrupted ??= start(training(long)).trained);

describe('the training of a tail', () => {
  it('says what it will take before it starts, then step, loss, speed and time left', async () => {
    const { seen, trained } = start(training());
    expect((await trained).steps).toBe(400);
    const [first, second] = seen;
    expect(first?.estimate).toMatchObject({ examples: count, epochs: 50, trunk: 'none', device: 'onnxruntime on cpu' });
    expect(first?.estimate?.examplesPerSecond).toBeGreaterThan(0);
    expect(first?.estimate?.memoryBytes).toBeGreaterThan(4 * 3 * columns * classes);
    const done = second?.step ?? NaN;
    expect(second).toMatchObject({ activity: 'training', steps: 400, progress: done / 400 });
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(400);
    expect(second?.loss).toBeLessThan(2 * Math.log(classes));
    expect(second?.remainingMs).toBeGreaterThan(0);
    expect(seen.at(-1)).toMatchObject({ step: 400, progress: 1, remainingMs: 0 });
  });

  it('leaves no checkpoint when it is over', async () => {
    await start(training()).trained;
    expect(await checkpoints()).toEqual([]);
  });

  it('stands still while the site pauses it, and then comes to the same bits', async () => {
    const expected = await whole();
    const { seen, trained } = await paused(training(long));
    const standing = seen.length;
    await sleep(300);
    expect(seen.length).toBe(standing);
    await rm(join(folder, 'paused.json'));
    expect((await trained).weights).toEqual(expected.weights);
  });

  it('that is cancelled in a pause goes on later where it was, to the same bits', async () => {
    const expected = await whole();
    const { abort, seen, trained } = await paused(training(long));
    abort.abort(new Error('cancelled'));
    await expect(trained).rejects.toThrow('cancelled');
    const stoppedAt = seen.at(-1)?.step ?? NaN;
    await rm(join(folder, 'paused.json'));
    const again = start(training(long));
    const { weights, ...measures } = await again.trained;
    expect(again.seen[1]?.step).toBeGreaterThan(stoppedAt);
    expect(weights).toEqual(expected.weights);
    expect({ ...measures, trainMs: 0 }).toEqual({ ...expected, weights: undefined, trainMs: 0 });
  });

  it('takes no checkpoint of another training, and none that is damaged', async () => {
    const { abort, seen, trained } = await paused(training(long));
    abort.abort(new Error('cancelled'));
    await expect(trained).rejects.toThrow('cancelled');
    await rm(join(folder, 'paused.json'));
    const stoppedAt = seen.at(-1)?.step ?? NaN;
    const other = start({ ...training(long), valuesKey: 'others' });
    await other.trained;
    expect(other.seen[1]?.step).toBeLessThanOrEqual(stoppedAt);
    const [file = ''] = await checkpoints();
    await writeFile(join(folder, 'training', file), 'no checkpoint');
    const again = start(training(long), ({ step }) => {
      if (step !== undefined) again.abort.abort(new Error('seen'));
    });
    await expect(again.trained).rejects.toThrow('seen');
    expect(again.seen[1]?.step).toBeLessThanOrEqual(stoppedAt);
    await expect(access(join(folder, 'training', file))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('goes on from no checkpoint that another runtime wrote', async () => {
    const { abort, seen, trained } = await paused(training(long));
    abort.abort(new Error('cancelled'));
    await expect(trained).rejects.toThrow('cancelled');
    await rm(join(folder, 'paused.json'));
    const elsewhere: TrainingSteps = new TrainingSteps(async () => ({
      ...(await engine()),
      runtime: { ...onnxRuntime, name: 'another' },
    }));
    const steps: number[] = [];
    await elsewhere.train(training(long), {
      signal: new AbortController().signal,
      onProgress: ({ step }) => step !== undefined && steps.push(step),
    });
    expect(steps[0]).toBeLessThanOrEqual(seen.at(-1)?.step ?? NaN);
  });

  it('asks for a device again after one that was not there', async () => {
    let asked = 0;
    const steps = new TrainingSteps(() => ((asked += 1) === 1 ? Promise.reject(new Error('no device')) : engine()));
    const control = { signal: new AbortController().signal, onProgress: () => undefined };
    await expect(steps.train(training(), control)).rejects.toThrow('no device');
    expect((await steps.train(training(), control)).steps).toBe(400);
  });

  it('clears away what a killed process left half written', async () => {
    await mkdir(join(folder, 'training'));
    await writeFile(join(folder, 'training', 'x.checkpoint.1-1.tmp'), 'half');
    const { abort, trained } = await paused(training(long));
    abort.abort(new Error('cancelled'));
    await expect(trained).rejects.toThrow('cancelled');
    expect((await checkpoints()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
