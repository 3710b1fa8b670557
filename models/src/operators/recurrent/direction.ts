/** One direction of a recurrent layer as if it ran forward in time: its values turned round, and gradients turned back. */
import { tensor } from '@graft/core/tensor';

import { maskOf } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { slice } from '../indexing.js';
import { resultsOf } from '../more-results.js';
import type { GradientSite, Known, Site } from '../operator.js';
import { fixedSize, shapeOf, stringOf } from '../site.js';
import { overTime } from './over-time.js';
import { sizesOf, type Sizes } from './recurrent-site.js';

export interface Direction {
  readonly site: GradientSite;
  readonly build: GraphBuilder;
  readonly sizes: Sizes;
  readonly index: number;
  /** Unique in the graph. */
  readonly name: string;
  /** [steps, N, inputs], in this direction's order of time. */
  readonly x: string;
  /** Hidden states after and before each step, [steps, N, hidden]. */
  readonly y: string;
  readonly before: string;
  /** Gradient by `y`, zero where a sequence has ended; undefined where nobody uses the states of all steps. */
  readonly dy: string | undefined;
  /** [steps, N, 1]: 1 while a sequence lasts; undefined where all last to the end. */
  readonly mask: string | undefined;
}

/** Every direction of the node. `infer` is its rule. */
export function directionsOf(
  site: GradientSite,
  infer: (site: Site) => readonly Known[],
  build: GraphBuilder,
): Direction[] {
  const sizes = sizesOf(site);
  const { node } = site;
  const [all = ''] = (node.outputs[0] ?? '') === '' ? resultsOf(node, [0], { infer, build }) : node.outputs;
  const mask = maskOfLengths(site, build);
  return Array.from({ length: sizes.directions }, (_, index): Direction => {
    const part = { site, build, sizes, index, name: `${node.name}/backward.${index}.${build.nodes.length}`, mask };
    const states = (value: string): string => turned(part, ofDirection(part, value, 1));
    const [dy] = site.outputGradients;
    const own = dy === undefined ? undefined : states(dy);
    const y = states(all);
    return {
      ...part,
      x: turned(part, node.inputs[0] ?? ''),
      y,
      before: shifted({ y, first: initialState(part, 5), name: part.name, sizes }, build),
      dy: own === undefined || mask === undefined ? own : build.add('Mul', [own, mask]),
    };
  });
}

type Part = Pick<Direction, 'site' | 'build' | 'sizes' | 'index'>;

/** The part of a value that is this direction's along an axis that counts directions, without that axis. */
export function ofDirection({ build, sizes, index }: Part, value: string, axis: number): string {
  const part = sizes.directions === 1 ? value : slice(value, [{ axis, start: index, end: index + 1 }], build);
  return build.add('Squeeze', [part, build.ints([axis])]);
}

/** The same with the axis, of size 1. */
export function stateOf({ build, sizes, index }: Part, value: string): string {
  return sizes.directions === 1 ? value : slice(value, [{ axis: 0, start: index, end: index + 1 }], build);
}

const isReversed = ({ site, index }: Part): boolean =>
  index === 1 || stringOf(site.node, 'direction', 'forward') === 'reverse';

/** A value of all steps in this direction's order of time, and back. */
export function turned(part: Part, value: string): string {
  const { site, build } = part;
  if (!isReversed(part)) return value;
  const lengths = site.node.inputs[4] ?? '';
  if (lengths !== '') {
    const { dtype } = build.typeOf(lengths);
    const int64 = dtype === 'int64' ? lengths : build.add('Cast', [lengths], { to: 7 });
    return build.add('ReverseSequence', [value, int64], { time_axis: 0, batch_axis: 1 });
  }
  return slice(value, [{ axis: 0, start: -1, end: -(2 ** 31), step: -1 }], build);
}

/** The state at the beginning, [1, N, hidden]; zeros where the node has none. */
export function initialState(part: Part, place: number): string {
  const { site } = part;
  const given = site.node.inputs[place] ?? '';
  return given === '' ? zeroState(part) : stateOf(part, given);
}

export function zeroState({ site, build, sizes }: Part): string {
  const [x = ''] = site.node.inputs;
  const batch = build.add('Shape', [x], { start: 1, end: 2 });
  const shape = build.add('Concat', [build.ints([1]), batch, build.ints([sizes.hidden])], { axis: 0 });
  return build.add('Expand', [build.scalar(0, x), shape]);
}

/** The gradient by the last state of this direction, zeros where it is not used. */
export function lastGradient(part: Part, output: number): string {
  const gradient = part.site.outputGradients[output];
  return gradient === undefined ? zeroState(part) : stateOf(part, gradient);
}

/** The state before each step: the first one, then all but the last. */
function shifted(
  { y, first, name, sizes: { steps } }: { y: string; first: string; name: string; sizes: Sizes },
  build: GraphBuilder,
): string {
  if (steps === 1) return first;
  if (typeof steps === 'number') {
    return build.add('Concat', [first, slice(y, [{ axis: 0, start: 0, end: steps - 1 }], build)], { axis: 0 });
  }
  const recurrence = { states: [first], series: [y], shared: [], backward: false, name: `${name}.before` };
  const passed = overTime(recurrence, (_, [state = ''], [next = '']) => ({ states: [next], results: [state] }), build);
  return passed.results[0] ?? '';
}

/** Whether step t of each sequence is before its end. */
function maskOfLengths(site: GradientSite, build: GraphBuilder): string | undefined {
  const lengths = site.node.inputs[4] ?? '';
  if (lengths === '') return undefined;
  const steps = fixedSize(site, shapeOf(site, 0)[0], 'number of steps, since its sequences have lengths of their own');
  if (site.inputs[4]?.elements?.every((length) => length === steps) === true) return undefined;
  const times = build.constant(
    tensor(
      'int32',
      [steps, 1],
      Int32Array.from({ length: steps }, (_, time) => time),
    ),
  );
  const lasts = build.add('Less', [times, build.add('Cast', [lengths], { to: 6 })]);
  return build.add('Unsqueeze', [maskOf(lasts, site.node.inputs[0] ?? '', build), build.ints([2])]);
}
