/** The end of building a training step: the nodes that are needed, each once, as a graph with the weights that stay as they are. */
import type { Tensor } from '@graft/core/tensor';

import { namesRead } from '../../graph/captures.js';
import type { Model, Value } from '../../graph/graph.js';
import { liveNodes } from '../../graph/live-nodes.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { foldReshapes } from './fold-reshapes.js';
import { shareNodes } from './share-nodes.js';
import { slotsOf, type TrainingStep } from '../training-step.js';

/** Adds the graph to what is known of the step. Inputs that no node reads stay, since hosts feed them. */
export function assembledStep(
  step: Omit<TrainingStep, keyof Model>,
  { model, build }: { model: Model; build: GraphBuilder },
): TrainingStep {
  const slots = slotsOf({ ...step, ...model });
  const results = [
    step.loss,
    ...step.metrics.map(({ output }) => output),
    ...(step.finite === undefined ? [] : [step.finite]),
  ];
  const outputs = [...new Set([...results, ...slots.map(({ output }) => output)])];
  const kept = new Set(outputs);
  const nodes = liveNodes(foldReshapes(shareNodes(liveNodes(build.nodes, outputs), kept), kept, build), outputs);
  const used = new Set(nodes.flatMap(namesRead));
  const inputs = inputsOf(step, slots);
  const fed = new Set(inputs.map(({ name }) => name));
  const constants = new Map([...build.constants].filter(([name]) => used.has(name)));
  const frozen = model.graph.weights.filter(({ name }) => !fed.has(name) && used.has(name));
  const weights = new Map([
    ...frozen.flatMap(({ name }): [string, Tensor][] => {
      const value = model.weights.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
    ...constants,
  ]);
  const graph = {
    name: `${model.graph.name}: training step`,
    inputs,
    outputs: outputs.map((name): Value => valueOf(name, build)),
    weights: [...frozen, ...[...constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))],
    nodes,
  };
  return { ...step, graph, weights };
}

function inputsOf(
  step: Omit<TrainingStep, keyof Model>,
  slots: readonly { input: string; shape: readonly number[] }[],
): Value[] {
  const float = (name: string, shape: readonly number[] = []): Value => ({ name, dtype: 'float32', shape });
  return [
    ...step.inputs,
    ...step.targets.map(({ name, dtype, shape }): Value => ({ name, dtype, ...(shape && { shape }) })),
    ...Object.values(step.scalars).map((name) => float(name)),
    ...step.references.map(({ input, shape }) => float(input, shape)),
    ...slots.map(({ input, shape }) => float(input, shape)),
  ];
}

function valueOf(name: string, build: GraphBuilder): Value {
  const { dtype, shape } = build.typeOf(name);
  return { name, dtype, ...(shape && { shape }) };
}
