/** A recurrence in a graph: written out step by step where the length is small and known, else as Scan. */
import type { Graph, Value } from '../../graph/graph.js';
import { GraphBuilder } from '../graph-builder.js';
import type { Known } from '../operator.js';
import { TypeScope } from '../type-scope.js';

/** Above, the nodes of all steps cost more to load than Scan costs to run. */
const stepsWrittenOut = 64;

export interface Recurrence {
  /** Values before the first step, [1, N, width]. */
  readonly states: readonly string[];
  /** Values of all steps, [steps, N, width]. */
  readonly series: readonly string[];
  /** Values that every step reads. */
  readonly shared: readonly string[];
  /** From the last step to the first. */
  readonly backward: boolean;
  /** What to call the values inside; unique in the graph. */
  readonly name: string;
}

/** One step over states and elements of the series, all [1, N, width]. May not make constants. */
export type Step = (
  build: GraphBuilder,
  states: readonly string[],
  elements: readonly string[],
) => { readonly states: readonly string[]; readonly results: readonly string[] };

export interface Outcome {
  /** After the last step. */
  readonly states: readonly string[];
  /** [steps, N, width] in the order of time. */
  readonly results: readonly string[];
}

export function overTime(recurrence: Recurrence, step: Step, build: GraphBuilder): Outcome {
  const steps = build.shapeOf(recurrence.series[0] ?? '')[0];
  return typeof steps === 'number' && steps <= stepsWrittenOut
    ? writtenOut(recurrence, step, { steps, build })
    : scanned(recurrence, step, build);
}

function writtenOut(
  { states, series, backward }: Recurrence,
  step: Step,
  { steps, build }: { steps: number; build: GraphBuilder },
): Outcome {
  const sizes = build.ints(Array<number>(steps).fill(1));
  const elements = series.map((value) =>
    steps === 1 ? [value] : build.addMany('Split', [value, sizes], steps, { axis: 0 }),
  );
  const results: (readonly string[])[] = [];
  let current = states;
  for (let i = 0; i < steps; i++) {
    const time = backward ? steps - 1 - i : i;
    const done = step(
      build,
      current,
      elements.map((each) => each[time] ?? ''),
    );
    current = done.states;
    results[time] = done.results;
  }
  const count = results[0]?.length ?? 0;
  const joined = Array.from({ length: count }, (_, k) => {
    const all = results.map((each) => each[k] ?? '');
    return all.length === 1 ? (all[0] ?? '') : build.add('Concat', all, { axis: 0 });
  });
  return { states: current, results: joined };
}

/** https://onnx.ai/onnx/operators/onnx__Scan.html */
function scanned({ states, series, shared, backward, name }: Recurrence, step: Step, build: GraphBuilder): Outcome {
  const lifted = series.map((value) => build.add('Unsqueeze', [value, build.ints([1])]));
  const scope = new TypeScope();
  const inner = new GraphBuilder(scope, `${name}/`);
  const input = (value: string, i: number, element: boolean): Value => {
    const { dtype, shape = [] } = build.typeOf(value);
    const known = { dtype, shape: element ? shape.slice(1) : shape };
    const named = { name: `${name}/${element ? 'element' : 'state'}.${i}`, ...known };
    scope.declare(named.name, known);
    return named;
  };
  const inputs = [
    ...states.map((value, i) => input(value, i, false)),
    ...lifted.map((value, i) => input(value, i, true)),
  ];
  for (const value of shared) scope.declare(value, build.typeOf(value));
  const names = inputs.map((value) => value.name);
  const done = step(inner, names.slice(0, states.length), names.slice(states.length));
  if (inner.constants.size > 0) throw new Error('a step of a recurrence makes constants');
  // A result that is a state or an input as it is needs a name of its own.
  const outputs = [...done.states, ...done.results].map((value) => inner.add('Identity', [value]));
  const body: Graph = {
    name,
    inputs,
    outputs: outputs.map((output) => ({ name: output, ...typeOnly(scope.of(output)) })),
    weights: [],
    nodes: inner.nodes,
  };
  const steps = build.shapeOf(series[0] ?? '')[0] ?? 'steps';
  const results = outputs.map((_, i) => `${name}/result.${i}`);
  const direction = backward ? 1 : 0;
  build.nodes.push({
    name,
    op: 'Scan',
    domain: '',
    inputs: [...states, ...lifted],
    outputs: results,
    attributes: {
      body: { kind: 'graph', value: body },
      num_scan_inputs: { kind: 'int', value: series.length },
      scan_input_directions: { kind: 'ints', value: series.map(() => direction) },
      scan_output_directions: { kind: 'ints', value: done.results.map(() => direction) },
    },
  });
  for (const [i, result] of results.entries()) {
    const { dtype, shape = [] } = scope.of(outputs[i] ?? '');
    build.declare(result, { dtype, shape: i < states.length ? shape : [steps, ...shape] });
  }
  return {
    states: results.slice(0, states.length),
    results: results.slice(states.length).map((value) => build.add('Squeeze', [value, build.ints([1])])),
  };
}

const typeOnly = ({ dtype, shape }: Known): Pick<Value, 'dtype' | 'shape'> => ({ dtype, ...(shape && { shape }) });
