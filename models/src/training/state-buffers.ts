/**
 * Weights and optimizer state between runs, in buffers that take turns: a run reads one and writes another, never the one
 * it reads. Weights have three, so that those of the run before, whose loss was finite, are still there when a loss is not.
 */
import { GraftError } from '@graft/core/error';
import { zeros, type Tensor, type Weights } from '@graft/core/tensor';

import type { Fetches } from '../runtime/runtime.js';
import type { Slot, TrainingStep } from './training-step.js';

interface Ring {
  readonly buffers: readonly Tensor<'float32'>[];
}

/** In the order of the rings, which all forms of a step share. */
export const slotsInOrder = ({ weightSlots, statisticSlots, stateSlots }: TrainingStep): Slot[] => [
  ...weightSlots.values(),
  ...statisticSlots.values(),
  ...stateSlots,
];

export class StateBuffers {
  private readonly rings: readonly Ring[];
  private readonly names: readonly string[];
  private turn = 0;

  /**
   * @param initial of every trainable weight and running statistic, by the name in the model; optimizer state begins at zero
   * @param resumed every value by the step's input, in place of those
   * Throws TENSOR_UNKNOWN, WEIGHTS_MALFORMED.
   */
  constructor(
    private readonly step: TrainingStep,
    initial: Weights,
    resumed?: Weights,
  ) {
    this.names = [...step.weightSlots.keys(), ...step.statisticSlots.keys()];
    this.rings = firstValues(step, initial, resumed).map((value, i) => ring(value, i < this.names.length ? 3 : 2));
  }

  /** What the next run reads, by input of `step`: this one in any of its forms. */
  feeds(step = this.step): Record<string, Tensor> {
    return Object.fromEntries(slotsInOrder(step).map(({ input }, i) => [input, this.at(i, 0)]));
  }

  /** Where the next run writes, by output. */
  into(step = this.step): Fetches {
    return Object.fromEntries(slotsInOrder(step).map(({ output }, i) => [output, this.at(i, 1)]));
  }

  /** What the run wrote is what the next one reads. */
  advance(): void {
    this.turn += 1;
  }

  /** The trainable weights and statistics as they are now, copies, by the name in the model. */
  values(): Map<string, Tensor<'float32'>> {
    return this.named(0);
  }

  /** Those before the last run; now, where nothing ran yet. */
  valuesBefore(): Map<string, Tensor<'float32'>> {
    return this.named(this.turn === 0 ? 0 : -1);
  }

  /** Everything by the step's input, without a copy: valid until the next run. */
  snapshot(): Map<string, Tensor> {
    return new Map(Object.entries(this.feeds()));
  }

  private named(offset: number): Map<string, Tensor<'float32'>> {
    return new Map(
      this.names.map((name, i) => {
        const value = this.at(i, offset);
        return [name, { ...value, data: value.data.slice() }];
      }),
    );
  }

  private at(ring: number, offset: number): Tensor<'float32'> {
    const buffers = this.rings[ring]?.buffers ?? [];
    const value = buffers[(this.turn + offset + buffers.length) % buffers.length];
    if (value === undefined) throw new RangeError(`no buffers of slot ${ring}`);
    return value;
  }
}

/** Whether a checkpoint's state is one of this step: that of another release may have other slots. */
export function isStateOf(step: TrainingStep, state: Weights): boolean {
  return slotsInOrder(step).every(({ input, shape }) => {
    const value = state.get(input);
    return value?.dtype === 'float32' && value.shape.join() === shape.join();
  });
}

/**
 * What each slot begins with, in order; not copied.
 * Throws TENSOR_UNKNOWN, WEIGHTS_MALFORMED.
 */
export function firstValues(step: TrainingStep, initial: Weights, resumed?: Weights): Tensor<'float32'>[] {
  if (resumed !== undefined)
    return slotsInOrder(step).map((slot) => checked(slot, resumed.get(slot.input) ?? notResumed(slot)));
  const named = [...step.weightSlots, ...step.statisticSlots];
  return [
    ...named.map(([name, slot]) => checked(slot, initial.get(name) ?? step.added.get(name) ?? missing(name))),
    ...step.stateSlots.map((slot) => zeros('float32', slot.shape)),
  ];
}

function ring(first: Tensor<'float32'>, count: number): Ring {
  const copy = { ...first, data: first.data.slice() };
  return { buffers: [copy, ...Array.from({ length: count - 1 }, () => zeros('float32', first.shape))] };
}

function checked(slot: Slot, value: Tensor): Tensor<'float32'> {
  if (value.dtype === 'float32' && value.shape.join() === slot.shape.join()) return value;
  throw new GraftError(
    'WEIGHTS_MALFORMED',
    `'${slot.input}' starts as ${value.dtype} [${value.shape.join(', ')}], the step takes float32 [${slot.shape.join(', ')}]`,
  );
}

/** Going on with some values of another state would be neither the old training nor a new one. */
function notResumed({ input }: Slot): never {
  throw new GraftError('WEIGHTS_MALFORMED', `the checkpoint has no value of '${input}', which the step takes`);
}

function missing(name: string): never {
  throw new GraftError('TENSOR_UNKNOWN', `there is no initial value of '${name}'`);
}
