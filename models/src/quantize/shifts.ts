/**
 * Additions and multiplications by one constant that cost nothing in 8 bits: q stands for y = factor h + offset as well as for h, with
 * another scale and zero point. Learnable affine maps after an activation (MobileOne, PP-OCR) are of this kind.
 * y must be read by convolutions only, since what the whole zero point cannot express goes into their bias.
 */
import type { Node } from '../graph/graph.js';
import type { Draft } from './draft.js';
import { affineOf } from './affine.js';
import type { QuantizationPlan } from './plan.js';
import type { Range } from './ranges.js';
import { clamp, roundToEven, withZero, type Scale } from './scale.js';

export interface Shift {
  /** The value whose 8-bit form is shared. */
  readonly root: string;
  /** Above zero. */
  readonly factor: number;
  readonly offset: number;
}

/** A range may grow by this factor so that the zero of every shifted value lies inside; past it a rounding costs less. */
const worthwhile = 1.5;

/** By the value that the node makes. `ranges` are those of the roots, already narrowed. */
export function findShifts(
  draft: Draft,
  { roles, rounded }: QuantizationPlan,
  ranges: ReadonlyMap<string, Range>,
): Map<string, Shift> {
  const nodes = draft.nodes();
  const able = new Set<string>();
  for (const node of nodes.toReversed()) {
    if (roles.get(node.name) === 'elementwise' && isAble(draft, { roles, able }, node)) able.add(node.name);
  }
  const shifts = new Map<string, Shift>();
  const isRounded = new Set(rounded);
  for (const node of nodes) {
    const affine = able.has(node.name) ? affineOf(draft, node, Infinity) : undefined;
    if (affine === undefined) continue;
    const [factor = 1, offset = 0] = [affine.scale[0], affine.shift[0]];
    const before = shifts.get(affine.input) ?? { root: affine.input, factor: 1, offset: 0 };
    const shift = { root: before.root, factor: before.factor * factor, offset: before.offset * factor + offset };
    if (isRounded.has(shift.root)) shifts.set(node.outputs[0] ?? '', shift);
  }
  return withoutCostly(shifts, ranges);
}

/** A scalar affine map that only convolutions and maps of the kind read. */
function isAble(
  draft: Draft,
  { roles, able }: { roles: QuantizationPlan['roles']; able: ReadonlySet<string> },
  node: Node,
): boolean {
  const affine = affineOf(draft, node, Infinity);
  const [output = ''] = node.outputs;
  if (affine?.scale.length !== 1 || affine.shift.length !== 1 || draft.isOutput(output)) return false;
  return draft.readers(output).every((reader) => {
    const onlyData = reader.inputs.indexOf(output) === 0 && reader.inputs.lastIndexOf(output) === 0;
    return (reader.op === 'Conv' && roles.has(reader.name) && onlyData) || able.has(reader.name);
  });
}

/** All shifts of a root stand or fall together, since they share its scale. */
function withoutCostly(shifts: ReadonlyMap<string, Shift>, ranges: ReadonlyMap<string, Range>): Map<string, Shift> {
  const costly = new Set<string>();
  for (const { root } of shifts.values()) {
    const range = withZero(ranges.get(root) ?? { min: 0, max: 0 });
    const own = [...shifts.values()].filter((shift) => shift.root === root);
    const wide = widened(range, own);
    const grows = !(wide.max - wide.min <= worthwhile * (range.max - range.min));
    if (grows || own.some(({ factor }) => !(factor > 0))) costly.add(root);
  }
  return new Map([...shifts].filter(([, { root }]) => !costly.has(root)));
}

/** The range of a root that also holds where its shifted values are zero. */
export function widened(range: Range, shifts: readonly Shift[]): Range {
  const zeros = shifts.map(({ factor, offset }) => -offset / factor);
  return { min: Math.min(range.min, ...zeros), max: Math.max(range.max, ...zeros) };
}

/** The scale of a shifted value, and the part of its offset that the zero point cannot express. */
export function shiftedScale(root: Scale, { factor, offset }: Shift): Scale & { readonly residual: number } {
  const scale = Math.fround(root.scale * factor);
  const zeroPoint = clamp(root.zeroPoint - roundToEven(offset / scale), 0, 255);
  return { scale, zeroPoint, residual: offset - (root.zeroPoint - zeroPoint) * scale };
}
