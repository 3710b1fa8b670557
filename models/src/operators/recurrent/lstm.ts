/**
 * LSTM backward through time: https://onnx.ai/onnx/operators/onnx__LSTM.html
 * i, o, f are the gates, g the new content: c = f c' + i g, h = o u(c). Without peepholes the gates are computed again for all steps
 * at once, from the states that the forward node returned; only the cells and the gradients by the state go step by step.
 */
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { directionsOf, initialState, lastGradient, ofDirection, type Direction } from './direction.js';
import { behindEnd, keptBehind, whileLasting } from './masked.js';
import { overTime, type Outcome, type Step } from './over-time.js';
import {
  gatesOf,
  joined,
  outer,
  projected,
  rowsOf,
  seriesOf,
  sumOfRows,
  weightsOf,
  type DirectionGradients,
  type LayerWeights,
} from './parts.js';
import { activate, activationsOf, checkDifferentiable, inferRecurrent, slopeOf } from './recurrent-site.js';

export const inferLstm = inferRecurrent(2);

const defaults = ['sigmoid', 'tanh', 'tanh'];

export function lstmGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  checkDifferentiable(site);
  const directions = directionsOf(site, inferLstm, build);
  return joined(
    site,
    directions.map((direction) => ({ direction, found: ofOne(direction) })),
    build,
  );
}

/** Of all steps, [steps, N, hidden]. */
interface Cells {
  readonly i: string;
  readonly o: string;
  readonly f: string;
  readonly g: string;
  readonly previous: string;
  readonly c: string;
}

/** Of i, o, f, each [hidden]. */
type Peepholes = readonly [string, string, string];

function ofOne(direction: Direction): DirectionGradients {
  const { build, sizes, x, before } = direction;
  const { hidden } = sizes;
  const weights = weightsOf(direction, build);
  const peepholes = peepholesOf(direction);
  const cells = cellsAgain(direction, weights, peepholes);
  const { states, results } = backward(direction, weights, { cells, peepholes });
  const [gates = ''] = results;
  const rows = rowsOf(gates, 4 * hidden, build);
  const bias = (): string => {
    const sum = sumOfRows(rows, build);
    return build.add('Concat', [sum, sum], { axis: 0 });
  };
  return {
    x: () => build.add('MatMul', [gates, weights.w]),
    weights: {
      1: () => outer(rows, rowsOf(x, Number(build.shapeOf(x)[2]), build), build),
      2: () => outer(rows, rowsOf(before, hidden, build), build),
      ...(weights.biases && { 3: bias }),
      ...(peepholes && { 7: () => byPeepholes(direction, { cells, rows }) }),
    },
    states: { 5: () => states[0] ?? '', 6: () => states[1] ?? '' },
  };
}

function peepholesOf(direction: Direction): Peepholes | undefined {
  const { site, build, sizes } = direction;
  const name = site.node.inputs[7] ?? '';
  if (name === '') return undefined;
  const all = ofDirection(direction, name, 0);
  const [i = '', o = '', f = ''] = build.addMany('Split', [all, build.ints([0, 1, 2].map(() => sizes.hidden))], 3);
  return [i, o, f];
}

function cellsAgain(direction: Direction, { w, r, biases }: LayerWeights, peepholes: Peepholes | undefined): Cells {
  const { build, sizes, x, before } = direction;
  const { hidden } = sizes;
  const bias = biases === undefined ? undefined : build.add('Add', [...biases]);
  const input = projected(rowsOf(x, Number(build.shapeOf(x)[2]), build), w, bias, build);
  const rows = projected(rowsOf(before, hidden, build), r, input, build);
  const all = seriesOf(rows, x, { width: 4 * hidden, build });
  return peepholes === undefined ? allAtOnce(direction, all) : stepByStep(direction, all, peepholes);
}

const split = (value: string, hidden: number, build: GraphBuilder): string[] =>
  build.addMany('Split', [value, build.ints([0, 1, 2, 3].map(() => hidden))], 4, { axis: 2 });

function allAtOnce(direction: Direction, all: string): Cells {
  const { site, build, sizes, name } = direction;
  const [gate = '', content = ''] = activationsOf(site, defaults);
  const [i = '', o = '', f = '', g = ''] = split(all, sizes.hidden, build).map((value, place) =>
    activate(place === 3 ? content : gate, value, build),
  );
  const added = whileLasting(direction, build.add('Mul', [i, g]));
  const series = [keptBehind(direction, f), added];
  const step: Step = (inner, [before = ''], [keep = '', add = '']) => {
    const c = inner.add('Add', [inner.add('Mul', [keep, before]), add]);
    return { states: [c], results: [before, c] };
  };
  const recurrence = {
    states: [initialState(direction, 6)],
    series,
    shared: [],
    backward: false,
    name: `${name}.cells`,
  };
  const [previous = '', c = ''] = overTime(recurrence, step, build).results;
  return { i, o, f, g, previous, c };
}

/** With peepholes the gates look at the cell before, and the output gate at the cell behind. */
function stepByStep(direction: Direction, all: string, [ofI, ofO, ofF]: Peepholes): Cells {
  const { site, build, sizes, name, mask } = direction;
  const [gate = '', content = ''] = activationsOf(site, defaults);
  const passed = behindEnd(direction);
  const step: Step = (inner, [before = ''], [inI = '', inO = '', inF = '', inG = '', lasts = '', ended = '']) => {
    const look = (value: string, weight: string, at: string): string =>
      activate(gate, inner.add('Add', [value, inner.add('Mul', [weight, at])]), inner);
    const [i, f, g] = [look(inI, ofI, before), look(inF, ofF, before), activate(content, inG, inner)];
    const made = inner.add('Add', [inner.add('Mul', [f, before]), inner.add('Mul', [i, g])]);
    const c =
      passed === undefined
        ? made
        : inner.add('Add', [inner.add('Mul', [made, lasts]), inner.add('Mul', [before, ended])]);
    return { states: [c], results: [i, look(inO, ofO, c), f, g, before, c] };
  };
  const series = [
    ...split(all, sizes.hidden, build),
    ...(mask === undefined || passed === undefined ? [] : [mask, passed]),
  ];
  const shared = [ofI, ofO, ofF];
  const recurrence = { states: [initialState(direction, 6)], series, shared, backward: false, name: `${name}.cells` };
  const [i = '', o = '', f = '', g = '', previous = '', c = ''] = overTime(recurrence, step, build).results;
  return { i, o, f, g, previous, c };
}

/**
 * dc += dh o u'(c), and dh gives do, dc gives di, df, dg: all factors are known before the first step.
 * With peepholes the gates pass their gradients on to the cells that they looked at.
 */
function backward(
  direction: Direction,
  { r }: LayerWeights,
  { cells, peepholes }: { cells: Cells; peepholes: Peepholes | undefined },
): Outcome {
  const { site, build, dy, name } = direction;
  const [gate = '', content = '', output = ''] = activationsOf(site, defaults);
  const mul = (a: string, b: string): string => build.add('Mul', [a, b]);
  const { i, o, f, g, previous, c } = cells;
  const u = activate(output, c, build);
  const byI = mul(g, slopeOf(gate, i, build));
  const byO = mul(u, slopeOf(gate, o, build));
  const byF = mul(previous, slopeOf(gate, f, build));
  const byG = mul(i, slopeOf(content, g, build));
  const [ofI = '', ofO = '', ofF = ''] = peepholes ?? [];
  const direct = mul(o, slopeOf(output, u, build));
  const toCell = peepholes === undefined ? direct : build.add('Add', [direct, mul(byO, ofO)]);
  const toPrevious = peepholes === undefined ? f : build.add('Sum', [f, mul(byI, ofI), mul(byF, ofF)]);
  const factors = whileLasting(direction, build.add('Concat', [byI, byO, byF, byG], { axis: 2 }));
  const passed = behindEnd(direction);
  const series = [
    factors,
    whileLasting(direction, toCell),
    keptBehind(direction, toPrevious),
    ...(dy === undefined ? [] : [dy]),
    ...(passed === undefined ? [] : [passed]),
  ];
  const step: Step = (inner, [dh = '', dc = ''], [factor = '', cell = '', keep = '', ...more]) => {
    const total = dy === undefined ? dh : inner.add('Add', [dh, more[0] ?? '']);
    const inCell = inner.add('Add', [dc, inner.add('Mul', [total, cell])]);
    const both = inner.add('Concat', [inCell, total, inCell, inCell], { axis: 2 });
    const gates = inner.add('Mul', [both, factor]);
    const back = inner.add('MatMul', [gates, r]);
    const before = passed === undefined ? back : inner.add('Add', [back, inner.add('Mul', [total, more.at(-1) ?? ''])]);
    return { states: [before, inner.add('Mul', [inCell, keep])], results: [gates] };
  };
  const states = [lastGradient(direction, 1), lastGradient(direction, 2)];
  return overTime({ states, series, shared: [r], backward: true, name }, step, build);
}

/** The sum of each gate's gradient times the cell that it looked at. */
function byPeepholes({ build, sizes: { hidden } }: Direction, { cells, rows }: { cells: Cells; rows: string }): string {
  const seen = [cells.previous, cells.c, cells.previous];
  const sums = seen.map((cell, first) => {
    const gate = gatesOf(rows, { first, count: 1, axis: 1, hidden }, build);
    return sumOfRows(build.add('Mul', [gate, rowsOf(cell, hidden, build)]), build);
  });
  return build.add('Concat', sums, { axis: 0 });
}
