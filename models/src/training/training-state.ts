/** Weights, statistics and optimizer state between the runs of a training: in memory, or on the device that computes them. */
import type { Tensor, Weights } from '@graft/core/tensor';

import type { DeviceTensor, Feeds, Fetches, Session } from '../runtime/runtime.js';
import { firstValues, slotsInOrder, StateBuffers } from './state-buffers.js';
import type { LoadedStep } from './step-source.js';
import type { TrainingStep } from './training-step.js';

export interface TrainingState {
  /** Runs a form of the step on the state. What comes of the state waits for `advance`; the result is everything else. */
  run(form: LoadedStep, feeds: Feeds): Promise<Fetches>;
  /** What the last run made of the state is the state. */
  advance(): void;
  /** Trainable weights and statistics by the name in the model. */
  values(): Promise<Map<string, Tensor<'float32'>>>;
  /** Those before the last run that was advanced from; now, where there was none. */
  valuesBefore(): Promise<Map<string, Tensor<'float32'>>>;
  /** Everything by the step's input; valid until the next run. */
  snapshot(): Promise<Map<string, Tensor>>;
  dispose(): void;
}

export interface StateStart {
  readonly step: TrainingStep;
  readonly initial: Weights;
  readonly resumed?: Weights;
}

/** On the device where the runtime can keep values there. Throws TENSOR_UNKNOWN, WEIGHTS_MALFORMED. */
export function trainingState(start: StateStart, session: Session): TrainingState {
  return session.runOnDevice === undefined ? inMemory(start) : new DeviceState(start);
}

function inMemory({ step, initial, resumed }: StateStart): TrainingState {
  const buffers = new StateBuffers(step, initial, resumed);
  return {
    run: ({ session, step: form }, feeds) => session.run({ ...feeds, ...buffers.feeds(form) }, buffers.into(form)),
    advance: () => buffers.advance(),
    values: () => Promise.resolve(buffers.values()),
    valuesBefore: () => Promise.resolve(buffers.valuesBefore()),
    snapshot: () => Promise.resolve(buffers.snapshot()),
    dispose: () => undefined,
  };
}

type Kept = Tensor | DeviceTensor;

const isOnDevice = (value: Kept): value is DeviceTensor => 'dispose' in value;

/** Values in the order of the step's slots. */
class DeviceState implements TrainingState {
  private current: readonly Kept[];
  private before: readonly Kept[];
  private next: readonly Kept[] = [];
  private readonly names: readonly string[];

  constructor(private readonly start: StateStart) {
    this.current = firstValues(start.step, start.initial, start.resumed);
    this.before = this.current;
    this.names = [...start.step.weightSlots.keys(), ...start.step.statisticSlots.keys()];
  }

  async run({ session, step: form }: LoadedStep, feeds: Feeds): Promise<Fetches> {
    const slots = slotsInOrder(form);
    const state = Object.fromEntries(slots.map(({ input }, i) => [input, this.valueAt(i, this.current)]));
    const outputs = { ...(await session.runOnDevice?.({ ...feeds, ...state })) };
    free(this.next, this.current);
    this.next = slots.flatMap(({ output }) => outputs[output] ?? []);
    for (const { output } of slots) delete outputs[output];
    const fetched = await Promise.all(
      Object.entries(outputs).map(async ([name, value]) => {
        const read = await value.read();
        value.dispose();
        return [name, read] as const;
      }),
    );
    return Object.fromEntries(fetched);
  }

  advance(): void {
    free(this.before, this.current);
    this.before = this.current;
    this.current = this.next;
    this.next = [];
  }

  values(): Promise<Map<string, Tensor<'float32'>>> {
    return this.named(this.current);
  }

  valuesBefore(): Promise<Map<string, Tensor<'float32'>>> {
    return this.named(this.before);
  }

  async snapshot(): Promise<Map<string, Tensor>> {
    const values = await Promise.all(this.current.map(read));
    return new Map(slotsInOrder(this.start.step).flatMap(({ input }, i) => entry(input, values[i])));
  }

  dispose(): void {
    free(new Set([...this.before, ...this.current, ...this.next]));
  }

  private async named(values: readonly Kept[]): Promise<Map<string, Tensor<'float32'>>> {
    const tensors = await Promise.all(this.names.map((_, i) => read(this.valueAt(i, values))));
    return new Map(
      this.names.flatMap((name, i) => {
        const value = tensors[i];
        return value?.dtype === 'float32' ? entry(name, value) : [];
      }),
    );
  }

  private valueAt(i: number, values: readonly Kept[]): Kept {
    const value = values[i];
    if (value === undefined) throw new RangeError(`no value of slot ${i}`);
    return value;
  }
}

function entry<T>(name: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[name, value]];
}

const read = (value: Kept): Promise<Tensor> =>
  isOnDevice(value) ? value.read() : Promise.resolve({ ...value, data: value.data.slice() } as Tensor);

/** Frees what is on the device and not among `kept`. */
function free(values: Iterable<Kept>, kept: readonly Kept[] = []): void {
  for (const value of values) if (isOnDevice(value) && !kept.includes(value)) value.dispose();
}
