/** Which weights of a model are trained. */
import { GraftError } from '@graft/core/error';
import { elementCount, type Tensor } from '@graft/core/tensor';

import { namesRead } from '../../graph/captures.js';
import type { Model, Node } from '../../graph/graph.js';
import { liveNodes } from '../../graph/live-nodes.js';
import type { TrainableScope } from '../training-step.js';

/**
 * Names in the order of the model's weights; a list of names stays as it is. Rules choose parameters only: float32 weights that the outputs
 * depend on, without running statistics and without constants of the graph, such as exponents, bounds, masks and scales of sizes.
 * Throws TENSOR_UNKNOWN where a rule finds nothing.
 */
export function trainableNames(model: Model, scope: TrainableScope): readonly string[] {
  if (isNames(scope)) return scope;
  const nodes = liveNodes(
    model.graph.nodes,
    model.graph.outputs.map(({ name }) => name),
  );
  const parameters = parametersOf(model, nodes);
  const chosen = choose(scope, { nodes, parameters });
  const names = model.graph.weights.flatMap(({ name }) => (chosen.has(name) ? [name] : []));
  if (names.length > 0) return names;
  throw new GraftError('TENSOR_UNKNOWN', `the scope ${JSON.stringify(scope)} has no weight that can be trained`);
}

/** A pattern as a regular expression: `*` is any text, `?` one character. */
export function patternOf(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
}

const isNames = (scope: TrainableScope): scope is readonly string[] => Array.isArray(scope);

function choose(
  scope: Exclude<TrainableScope, readonly string[]>,
  { nodes, parameters }: { nodes: readonly Node[]; parameters: ReadonlySet<string> },
): Set<string> {
  const derived = derivedFrom(parameters, nodes);
  const readBy = (some: readonly Node[]): Set<string> =>
    new Set(some.flatMap(namesRead).flatMap((name) => derived.get(name) ?? []));
  if (scope === 'all') return new Set(parameters);
  if (scope === 'head') {
    const last = nodes.findLastIndex((node) => isLayer(node) && node.inputs.some((name) => derived.has(name)));
    return last < 0 ? new Set() : readBy(nodes.slice(last));
  }
  if ('from' in scope) return readBy(nodesFrom(scope.from, nodes));
  const patterns = scope.matching.map(patternOf);
  return new Set([...parameters].filter((name) => patterns.some((pattern) => pattern.test(name))));
}

/** Parameters by the values that are made of parameters alone, such as a weight that is transposed before it is multiplied. */
function derivedFrom(parameters: ReadonlySet<string>, nodes: readonly Node[]): Map<string, readonly string[]> {
  const derived = new Map<string, readonly string[]>([...parameters].map((name) => [name, [name]]));
  const made = new Set(nodes.flatMap(({ outputs }) => outputs));
  for (const node of nodes) {
    const [first = '', ...rest] = node.inputs;
    const from = derived.get(first);
    if (from === undefined || rest.some((name) => made.has(name))) continue;
    if (rearranging.has(node.op)) for (const output of node.outputs) derived.set(output, from);
  }
  return derived;
}

const rearranging: ReadonlySet<string> = new Set(['Transpose', 'Reshape', 'Identity', 'Cast', 'Squeeze', 'Unsqueeze']);

/** The node, found by its name or a value that it makes, and all that depend on it. */
function nodesFrom(name: string, nodes: readonly Node[]): Node[] {
  const first = nodes.find((node) => node.name === name || node.outputs.includes(name));
  if (first === undefined) {
    throw new GraftError('TENSOR_UNKNOWN', `no node or value '${name}' leads to the outputs of the model`);
  }
  const reached = new Set(first.outputs);
  const found = [first];
  for (const node of nodes) {
    if (node === first || !namesRead(node).some((input) => reached.has(input))) continue;
    found.push(node);
    for (const output of node.outputs) if (output !== '') reached.add(output);
  }
  return found;
}

/** Inputs that are settings rather than parameters. */
const settings: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [3, 4],
  Clip: [1, 2],
  Dropout: [1, 2],
  OneHot: [1, 2],
  Pad: [1, 2, 3],
  Pow: [1],
  Range: [0, 1, 2],
  Resize: [1, 2, 3],
  QuantizeLinear: [1, 2],
  DequantizeLinear: [0, 1, 2],
};

/** Operators whose weights are layers. */
const layers: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose', 'LSTM', 'GRU', 'RNN']);

const isLayer = ({ op }: Node): boolean => layers.has(op);

/** How PyTorch's exporter names what was a constant of the code. */
const constantName = /(^|[/.])Constant(_\d+)?(_output_\d+)?$/;

/** Masks hold numbers that no parameter has. */
const isMask = (value: Tensor | undefined): boolean =>
  value?.dtype === 'float32' && value.data.some((each) => !(Math.abs(each) < 1e30));

/** A single number counts where a layer reads it, or where it is added to the result of one. */
function parametersOf({ graph, weights: values }: Model, nodes: readonly Node[]): Set<string> {
  const float = new Map(
    graph.weights.flatMap(({ name, dtype, shape }) =>
      dtype === 'float32' && !constantName.test(name) && !isMask(values.get(name)) ? [[name, shape]] : [],
    ),
  );
  const made = new Set(nodes.filter(isLayer).flatMap(({ outputs }) => outputs));
  const excluded = new Set<string>();
  const parameters = new Set<string>();
  for (const node of nodes) {
    for (const [i, name] of node.inputs.entries()) {
      const shape = float.get(name);
      if (shape === undefined) continue;
      if (settings[node.op]?.includes(i) === true) excluded.add(name);
      const single = elementCount(shape.map((size) => Number(size))) === 1;
      const ofLayer = isLayer(node) || node.op === 'PRelu' || node.inputs.some((input) => made.has(input));
      if (!single || (shape.length > 0 && ofLayer)) parameters.add(name);
    }
  }
  return new Set([...parameters].filter((name) => !excluded.has(name)));
}
