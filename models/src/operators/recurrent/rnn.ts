/** h = f(W x + R h' + b), backward through time: dg = dh f'(h), dh' = R' dg. */
import type { GraphBuilder } from '../graph-builder.js';
import { directionsOf, lastGradient, type Direction } from './direction.js';
import type { GradientSite } from '../operator.js';
import { behindEnd, whileLasting } from './masked.js';
import { overTime } from './over-time.js';
import { joined, outer, rowsOf, sumOfRows, weightsOf, type DirectionGradients } from './parts.js';
import { activationsOf, checkDifferentiable, inferRecurrent, slopeOf } from './recurrent-site.js';

export const inferRnn = inferRecurrent(1);

export function rnnGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  checkDifferentiable(site);
  const directions = directionsOf(site, inferRnn, build);
  return joined(
    site,
    directions.map((direction) => ({ direction, found: ofOne(direction) })),
    build,
  );
}

function ofOne(direction: Direction): DirectionGradients {
  const { site, build, sizes, x, y, before, dy, name } = direction;
  const { w, r, biases } = weightsOf(direction, build);
  const [activation = 'tanh'] = activationsOf(site, ['tanh']);
  const slopes = whileLasting(direction, slopeOf(activation, y, build));
  const passed = behindEnd(direction);
  const series = [slopes, ...(dy === undefined ? [] : [dy]), ...(passed === undefined ? [] : [passed])];
  const { states, results } = overTime(
    { states: [lastGradient(direction, 1)], series, shared: [r], backward: true, name },
    (inner, [carried = ''], [slope = '', ...more]) => {
      const total = dy === undefined ? carried : inner.add('Add', [carried, more[0] ?? '']);
      const gate = inner.add('Mul', [total, slope]);
      const back = inner.add('MatMul', [gate, r]);
      if (passed === undefined) return { states: [back], results: [gate] };
      return { states: [inner.add('Add', [back, inner.add('Mul', [total, more.at(-1) ?? ''])])], results: [gate] };
    },
    build,
  );
  const gates = rowsOf(results[0] ?? '', sizes.hidden, build);
  const inputs = Number(build.shapeOf(x)[2]);
  const bias = (): string => {
    const sum = sumOfRows(gates, build);
    return build.add('Concat', [sum, sum], { axis: 0 });
  };
  return {
    x: () => build.add('MatMul', [results[0] ?? '', w]),
    weights: {
      1: () => outer(gates, rowsOf(x, inputs, build), build),
      2: () => outer(gates, rowsOf(before, sizes.hidden, build), build),
      ...(biases && { 3: bias }),
    },
    states: { 5: () => states[0] ?? '' },
  };
}
