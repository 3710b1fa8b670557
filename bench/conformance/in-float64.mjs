/** A model with float64 where it has float32: values, constants, and the types that nodes name. */
import { tensor } from '@graft/core/tensor';

const [float32, float64] = [1, 11];

/** Inputs that stay float32 whatever the data are: scales and regions of Resize. */
const fixedInputs = { Resize: [1, 2] };

/** Attributes that name an element type. */
const typeAttributes = new Set(['to', 'dtype', 'output_datatype', 'softmax_precision', 'stash_type']);

/** Operators whose type of the sums is float32 unless an attribute says more. */
const ownSums = { GroupNormalization: { stash_type: { kind: 'int', value: float64 } } };

export function inFloat64({ graph, weights }) {
  const fixed = new Set(graph.nodes.flatMap(({ op, inputs }) => (fixedInputs[op] ?? []).map((index) => inputs[index])));
  const wide = (value) =>
    value.dtype === 'float32' && !fixed.has(value.name) ? { ...value, dtype: 'float64' } : value;
  const nodes = graph.nodes.map((node) => ({
    ...node,
    attributes: Object.fromEntries(
      Object.entries({ ...ownSums[node.op], ...node.attributes }).map(([name, value]) => [
        name,
        wideAttribute(name, value),
      ]),
    ),
  }));
  const both = {
    ...graph,
    inputs: graph.inputs.map(wide),
    outputs: graph.outputs.map(wide),
    weights: graph.weights.map(wide),
  };
  return {
    graph: { ...both, nodes },
    weights: new Map([...weights].map(([name, value]) => [name, fixed.has(name) ? value : wideTensor(value)])),
  };
}

function wideTensor(value) {
  return value.dtype === 'float32' ? tensor('float64', value.shape, Float64Array.from(value.data)) : value;
}

function wideAttribute(name, attribute) {
  if (attribute.kind === 'graph') throw new Error('a model with bodies stays in float32');
  if (attribute.kind === 'tensor') return { ...attribute, value: wideTensor(attribute.value) };
  const names = attribute.kind === 'int' && typeAttributes.has(name) && attribute.value === float32;
  return names ? { ...attribute, value: float64 } : attribute;
}
