/**
 * GRU backward through time: https://onnx.ai/onnx/operators/onnx__GRU.html
 * z and r are the gates, n the new state: h = (1 - z) n + z h'. All of them are computed again for all steps at once, from the states
 * that the forward node returned; only the gradient by the state goes step by step.
 */
import type { GraphBuilder } from '../graph-builder.js';
import type { GradientSite } from '../operator.js';
import { intOf } from '../site.js';
import { directionsOf, lastGradient, type Direction } from './direction.js';
import { keptBehind, whileLasting } from './masked.js';
import { overTime, type Step } from './over-time.js';
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

export const inferGru = inferRecurrent(1);

export function gruGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  checkDifferentiable(site);
  const directions = directionsOf(site, inferGru, build);
  return joined(
    site,
    directions.map((direction) => ({ direction, found: ofOne(direction) })),
    build,
  );
}

/** Of all steps, rows [steps N, hidden]. */
interface Gates {
  readonly z: string;
  readonly r: string;
  readonly n: string;
  /** h' and what R's part of n multiplies with: R h' + b before the reset, else nothing. */
  readonly previous: string;
  readonly product: string;
}

function ofOne(direction: Direction): DirectionGradients {
  const { site, build, sizes, x } = direction;
  const { hidden } = sizes;
  const weights = weightsOf(direction, build);
  const resetLast = intOf(site.node, 'linear_before_reset', 0) !== 0;
  const gates = gatesAgain(direction, weights, resetLast);
  const { states, byW, byR } = resetLast
    ? backResetLast(direction, weights, gates)
    : backResetFirst(direction, weights, gates);
  const inputs = rowsOf(x, Number(build.shapeOf(x)[2]), build);
  const recurrent = (): string => {
    if (resetLast) return outer(byR, gates.previous, build);
    const part = (first: number, count: number): string => gatesOf(byR, { first, count, axis: 1, hidden }, build);
    const reset = build.add('Mul', [gates.r, gates.previous]);
    const parts = [outer(part(0, 2), gates.previous, build), outer(part(2, 1), reset, build)];
    return build.add('Concat', parts, { axis: 0 });
  };
  return {
    x: () => seriesOf(build.add('Gemm', [byW, weights.w]), x, { width: Number(build.shapeOf(x)[2]), build }),
    weights: {
      1: () => outer(byW, inputs, build),
      2: recurrent,
      ...(weights.biases && {
        3: () => build.add('Concat', [sumOfRows(byW, build), sumOfRows(byR, build)], { axis: 0 }),
      }),
    },
    states: { 5: () => states[0] ?? '' },
  };
}

function gatesAgain(direction: Direction, { w, r, biases }: LayerWeights, resetLast: boolean): Gates {
  const { site, build, sizes, x, before } = direction;
  const { hidden } = sizes;
  const [gate = 'sigmoid', candidate = 'tanh'] = activationsOf(site, ['sigmoid', 'tanh']);
  const previous = rowsOf(before, hidden, build);
  const input = projected(rowsOf(x, Number(build.shapeOf(x)[2]), build), w, biases?.[0], build);
  const part = (value: string | undefined, first: number, count: number, axis: number): string | undefined =>
    value === undefined ? undefined : gatesOf(value, { first, count, axis, hidden }, build);
  const ofWeight = (first: number, count: number): string => part(r, first, count, 0) ?? '';
  const recurrent = projected(previous, ofWeight(0, 2), part(biases?.[1], 0, 2, 0), build);
  const both = activate(gate, build.add('Add', [part(input, 0, 2, 1) ?? '', recurrent]), build);
  const [z, reset] = [part(both, 0, 1, 1) ?? '', part(both, 1, 1, 1) ?? ''];
  const bias = part(biases?.[1], 2, 1, 0);
  const product = resetLast
    ? projected(previous, ofWeight(2, 1), bias, build)
    : projected(build.add('Mul', [reset, previous]), ofWeight(2, 1), bias, build);
  const term = resetLast ? build.add('Mul', [reset, product]) : product;
  const n = activate(candidate, build.add('Add', [part(input, 2, 1, 1) ?? '', term]), build);
  return { z, r: reset, n, previous, product };
}

interface Backward {
  readonly states: readonly string[];
  /** Gradients by W x + b and by R h' + b of each gate, rows [steps N, 3 hidden]. */
  readonly byW: string;
  readonly byR: string;
}

/** dn = dh (1 - z) f'(n), dz = dh (h' - n) f'(z): the factors of dh, rows. */
function factorsOf({ site, build }: Direction, { z, n, previous }: Gates): { byN: string; byZ: string } {
  const [gate = '', candidate = ''] = activationsOf(site, ['sigmoid', 'tanh']);
  const rest = build.add('Sub', [build.scalar(1, z), z]);
  return {
    byN: build.add('Mul', [rest, slopeOf(candidate, n, build)]),
    byZ: build.add('Mul', [build.add('Sub', [previous, n]), slopeOf(gate, z, build)]),
  };
}

/** n = f(W x + r (R h' + b)): dr = dn (R h' + b) f'(r), and R takes dn r. */
function backResetLast(direction: Direction, { r: weight }: LayerWeights, gates: Gates): Backward {
  const { site, build, sizes, dy, name, x } = direction;
  const { hidden } = sizes;
  const [gate = ''] = activationsOf(site, ['sigmoid', 'tanh']);
  const { byN, byZ } = factorsOf(direction, gates);
  const byReset = build.add('Mul', [build.add('Mul', [byN, gates.product]), slopeOf(gate, gates.r, build)]);
  const all = build.add('Concat', [byZ, byReset, build.add('Mul', [byN, gates.r])], { axis: 1 });
  const factors = whileLasting(direction, seriesOf(all, x, { width: 3 * hidden, build }));
  const kept = keptBehind(direction, seriesOf(gates.z, x, { width: hidden, build }));
  const step: Step = (inner, [carried = ''], [factor = '', keep = '', own]) => {
    const total = own === undefined ? carried : inner.add('Add', [carried, own]);
    const parts = inner.add('Mul', [inner.add('Concat', [total, total, total], { axis: 2 }), factor]);
    const back = inner.add('Add', [inner.add('Mul', [total, keep]), inner.add('MatMul', [parts, weight])]);
    return { states: [back], results: [parts, total] };
  };
  const series = [factors, kept, ...(dy === undefined ? [] : [dy])];
  const recurrence = { states: [lastGradient(direction, 1)], series, shared: [weight], backward: true, name };
  const { states, results } = overTime(recurrence, step, build);
  const byR = rowsOf(results[0] ?? '', 3 * hidden, build);
  const news = whileLasting(direction, seriesOf(byN, x, { width: hidden, build }));
  const byNew = rowsOf(build.add('Mul', [results[1] ?? '', news]), hidden, build);
  const zr = gatesOf(byR, { first: 0, count: 2, axis: 1, hidden }, build);
  return { states, byR, byW: build.add('Concat', [zr, byNew], { axis: 1 }) };
}

/** n = f(W x + R (r h') + b): with d = R' dn, dr = d h' f'(r) and h' takes d r. */
function backResetFirst(direction: Direction, { r: weight }: LayerWeights, gates: Gates): Backward {
  const { site, build, sizes, dy, name, x } = direction;
  const { hidden } = sizes;
  const [gate = ''] = activationsOf(site, ['sigmoid', 'tanh']);
  const { byN, byZ } = factorsOf(direction, gates);
  const byReset = build.add('Mul', [gates.previous, slopeOf(gate, gates.r, build)]);
  const one = (rows: string): string => whileLasting(direction, seriesOf(rows, x, { width: hidden, build }));
  const kept = keptBehind(direction, seriesOf(gates.z, x, { width: hidden, build }));
  const weightOf = (first: number, count: number): string => gatesOf(weight, { first, count, axis: 0, hidden }, build);
  const [ofGates, ofNew] = [weightOf(0, 2), weightOf(2, 1)];
  const step: Step = (inner, [carried = ''], [n = '', z = '', r = '', reset = '', keep = '', own]) => {
    const total = own === undefined ? carried : inner.add('Add', [carried, own]);
    const byNew = inner.add('Mul', [total, n]);
    const inside = inner.add('MatMul', [byNew, ofNew]);
    const zr = inner.add('Concat', [inner.add('Mul', [total, z]), inner.add('Mul', [inside, r])], { axis: 2 });
    const direct = inner.add('Add', [inner.add('Mul', [total, keep]), inner.add('Mul', [inside, reset])]);
    const back = inner.add('Add', [direct, inner.add('MatMul', [zr, ofGates])]);
    return { states: [back], results: [inner.add('Concat', [zr, byNew], { axis: 2 })] };
  };
  const series = [one(byN), one(byZ), one(byReset), one(gates.r), kept, ...(dy === undefined ? [] : [dy])];
  const recurrence = { states: [lastGradient(direction, 1)], series, shared: [ofGates, ofNew], backward: true, name };
  const { states, results } = overTime(recurrence, step, build);
  const rows = rowsOf(results[0] ?? '', 3 * hidden, build);
  return { states, byW: rows, byR: rows };
}
