/**
 * Several training steps in one run: the step's graph as the body of a Loop, https://onnx.ai/onnx/operators/onnx__Loop.html
 * A run has a price of its own (feeds, fetches, a turn of the event loop, copies of weights and state) that a short step does not pay for.
 */
import { GraftError } from '@graft/core/error';
import { elementCount, tensor } from '@graft/core/tensor';

import { bytesOfElement } from '../graph/element-type.js';
import type { Graph, Node, Value } from '../graph/graph.js';
import { validateGraph } from '../graph/validate.js';
import { slotsOf, type Slot, type TrainingStep } from './training-step.js';

/** A run may keep a pause or a cancel waiting for this long, milliseconds. */
const runMs = 200;

/** Batches that a run takes are gathered in memory; more of them than a cache holds cost what the loop saves. */
const runBytes = 4 * 2 ** 20;

/** Losses that come back from one run. */
const mostSteps = 200;

/** How many steps of `stepMs` each a run should do; 1 where a step is long or its batch large. */
export function stepsPerRun({ inputs, targets }: TrainingStep, stepMs: number): number {
  const bytes = [...inputs, ...targets].reduce((sum, value) => sum + bytesOf(value), 0);
  return Math.max(1, Math.min(mostSteps, Math.floor(runMs / stepMs), Math.floor(runBytes / bytes)));
}

/** Symbols count as 1. */
function bytesOf({ dtype, shape = [] }: Value): number {
  const sizes = shape.map((size) => (typeof size === 'number' ? size : 1));
  return elementCount(sizes) * bytesOfElement(dtype);
}

/** Outer names: a value of the body may not be called as one around it. */
const outer = (name: string): string => `loop/${name}`;

/** The axis of steps; its size is known when it runs. */
const stepsAxis = 'steps';

/**
 * The step for K batches at once, K being whatever is fed: inputs and targets are [K, N, ...], scalars [K], and so are the loss, metrics
 * and `finite` of each step; weights, state and references as before. The result equals that of K runs of `step`.
 * All batches are of one size. Throws MODEL_UNSUPPORTED for a step without inputs.
 */
export function loopOf(step: TrainingStep): TrainingStep {
  const batched: Value[] = [...step.inputs, ...step.targets];
  const scalars = Object.values(step.scalars).map((name): Value => ({ name, dtype: 'float32', shape: [] }));
  const rows = [...batched, ...scalars];
  const slots = slotsOf(step);
  const scanned = scannedOf(step);
  const [first] = rows;
  if (first === undefined)
    throw new GraftError('MODEL_UNSUPPORTED', 'a training step without inputs has nothing to loop over');
  const body = bodyOf(step, { rows, slots, scanned });
  const outputs = [...slots.map(({ output }) => output), ...scanned.map(({ name }) => name)].map(outer);
  const typeOf = (slot: Slot, name: string): Value => ({ name: outer(name), dtype: 'float32', shape: slot.shape });
  const graph: Graph = {
    name: `${step.graph.name}, looped`,
    inputs: [
      ...rows.map(stacked),
      ...step.references.map(({ input, shape }): Value => ({ name: input, dtype: 'float32', shape })),
      ...slots.map((slot) => typeOf(slot, slot.input)),
    ],
    outputs: [...slots.map((slot) => typeOf(slot, slot.output)), ...scanned.map(stacked)],
    weights: [
      ...step.graph.weights,
      { name: always, dtype: 'bool', shape: [] },
      { name: firstAxis, dtype: 'int64', shape: [1] },
    ],
    nodes: [
      node('Shape', [outer(first.name)], ['loop/shape'], {
        start: { kind: 'int', value: 0 },
        end: { kind: 'int', value: 1 },
      }),
      node('Squeeze', ['loop/shape', firstAxis], ['loop/count']),
      node('Loop', ['loop/count', always, ...slots.map(({ input }) => outer(input))], outputs, {
        body: { kind: 'graph', value: body },
      }),
    ],
  };
  validateGraph(graph);
  return { ...renamed(step), graph, weights: new Map([...step.weights, ...constants]) };
}

const always = 'loop/always';
const firstAxis = 'loop/first-axis';
const constants = [
  [always, tensor('bool', [], Uint8Array.of(1))],
  [firstAxis, tensor('int64', [1], BigInt64Array.of(0n))],
] as const;

const stacked = ({ name, dtype, shape }: Value): Value => ({
  name: outer(name),
  dtype,
  ...(shape !== undefined && { shape: [stepsAxis, ...shape] }),
});

/** What each step gives beside its successor: collected, one row a step. */
function scannedOf({ loss, metrics, finite, graph }: TrainingStep): Value[] {
  const names = new Set([loss, ...metrics.map(({ output }) => output), ...(finite === undefined ? [] : [finite])]);
  return graph.outputs.filter(({ name }) => names.has(name));
}

interface Body {
  readonly rows: readonly Value[];
  readonly slots: readonly Slot[];
  readonly scanned: readonly Value[];
}

/** Takes the number of the step, the condition, and what goes round; batches and scalars of its number come from around it. */
function bodyOf({ graph }: TrainingStep, { rows, slots, scanned }: Body): Graph {
  const [number, condition] = ['loop/number', 'loop/condition'];
  const gathered = rows.map(({ name }) =>
    node('Gather', [outer(name), number], [name], { axis: { kind: 'int', value: 0 } }),
  );
  const slotValue = (name: string, { shape }: Slot): Value => ({ name, dtype: 'float32', shape });
  return {
    name: 'step',
    inputs: [
      { name: number, dtype: 'int64', shape: [] },
      { name: condition, dtype: 'bool', shape: [] },
      ...slots.map((slot) => slotValue(slot.input, slot)),
    ],
    outputs: [
      { name: 'loop/continued', dtype: 'bool', shape: [] },
      ...slots.map((slot) => slotValue(slot.output, slot)),
      ...scanned,
    ],
    weights: [],
    nodes: [node('Identity', [condition], ['loop/continued']), ...gathered, ...graph.nodes],
  };
}

function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Node['attributes'] = {},
): Node {
  return { name: `loop/${op}/${outputs[0] ?? ''}`, op, domain: '', inputs, outputs, attributes };
}

/** Everything that the host feeds and fetches by its outer name. */
function renamed(step: TrainingStep): TrainingStep {
  const slot = ({ input, output, shape }: Slot): Slot => ({ input: outer(input), output: outer(output), shape });
  const slots = (named: ReadonlyMap<string, Slot>): Map<string, Slot> =>
    new Map([...named].map(([name, each]) => [name, slot(each)]));
  return {
    ...step,
    inputs: step.inputs.map(stacked),
    targets: step.targets.map((target) => ({ ...target, ...stacked(target) })),
    scalars: Object.fromEntries(Object.entries(step.scalars).map(([role, name]) => [role, outer(name)])),
    loss: outer(step.loss),
    metrics: step.metrics.map((metric) => ({ ...metric, output: outer(metric.output) })),
    ...(step.finite !== undefined && { finite: outer(step.finite) }),
    weightSlots: slots(step.weightSlots),
    stateSlots: step.stateSlots.map(slot),
    statisticSlots: slots(step.statisticSlots),
  };
}
