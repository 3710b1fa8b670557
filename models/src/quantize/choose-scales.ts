/** The scale of every value that is rounded to 8 bits, out of the measured ranges. */
import type { Node } from '../graph/graph.js';
import type { Draft } from './draft.js';
import { boundsOf, gateOf } from './operators.js';
import type { QuantizationPlan } from './plan.js';
import type { Range, Ranges } from './ranges.js';
import { activationScale, type Scale } from './scale.js';
import { findShifts, shiftedScale, widened, type Shift } from './shifts.js';

export interface ChosenScale extends Scale {
  /** Set where the value has no 8-bit form of its own. */
  readonly shift?: Shift;
  /** What the represented value lacks: the true one is larger by this everywhere; 0 but for shifted values. */
  readonly residual: number;
}

export function chooseScales(draft: Draft, plan: QuantizationPlan, measured: Ranges): Map<string, ChosenScale> {
  const ranges = new Map<string, Range>();
  for (const value of [...plan.entries, ...plan.rounded]) {
    const range = rangeOf(draft, { plan, measured }, value);
    if (range !== undefined) ranges.set(value, range);
  }
  const shifts = findShifts(draft, plan, ranges);
  const scales = new Map<string, ChosenScale>();
  for (const value of [...plan.entries, ...plan.rounded]) {
    const shift = shifts.get(value);
    const range = ranges.get(value);
    const root = scales.get(shift?.root ?? '');
    if (shift !== undefined && root !== undefined) {
      scales.set(value, { ...shiftedScale(root, shift), shift });
    } else if (range !== undefined) {
      const own = [...shifts.values()].filter(({ root }) => root === value);
      scales.set(value, { ...activationScale(widened(range, own)), residual: 0 });
    } else {
      // It moves or selects values of its input, which comes before it.
      const input = scales.get(draft.maker(value)?.inputs[0] ?? '');
      if (input !== undefined) scales.set(value, { ...input, residual: 0 });
    }
  }
  return scales;
}

/** As measured, within what later operators can tell apart; undefined for a value that takes the scale of its input. */
function rangeOf(
  draft: Draft,
  { plan, measured }: { plan: QuantizationPlan; measured: Ranges },
  value: string,
): Range | undefined {
  const maker = draft.maker(value);
  const role = maker && plan.roles.get(maker.name);
  if (maker !== undefined && role === 'gate') return { min: 0, max: 1 };
  const range = measured.get(value);
  if (range === undefined || maker === undefined) return range;
  const { low, high } = (role === 'absorbed' ? boundsOf(draft, maker) : undefined) ?? {
    low: -Infinity,
    high: Infinity,
  };
  const least = Math.max(low, gatedFrom(draft, value));
  const max = Math.min(range.max, high);
  return { min: Math.min(Math.max(range.min, least), max), max };
}

/** Where x is read as x * HardSigmoid(x) alone, everything below the point at which the gate shuts gives 0. */
function gatedFrom(draft: Draft, value: string): number {
  const readers = draft.readers(value);
  const gate = readers.find(({ op }) => op === 'HardSigmoid');
  const [output] = gate?.outputs ?? [];
  const isProduct = ({ op, inputs }: Node): boolean =>
    op === 'Mul' && inputs.every((name) => name === value || name === output);
  if (gate === undefined || draft.isOutput(value) || readers.length !== 2) return -Infinity;
  if (!readers.every((reader) => reader === gate || isProduct(reader))) return -Infinity;
  const { slope, offset } = gateOf(gate);
  return -offset / slope;
}
