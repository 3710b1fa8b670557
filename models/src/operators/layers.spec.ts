/** Single layers against PyTorch: test/vectors/make_layer_vectors.py wrote the numbers, in float64. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { tensor, type Tensor } from '@graft/core/tensor';

import type { Attribute, Node } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import { differentiate } from '../training/differentiate.js';
import { relativeError } from '../training/gradient-graph.contract.js';
import { GraphBuilder } from './graph-builder.js';
import { TypeScope } from './type-scope.js';

interface Numbers {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Layer {
  readonly name: string;
  readonly op: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** By place. */
  readonly inputs: Readonly<Record<string, Numbers>>;
  readonly constants: Readonly<Record<string, Numbers & { readonly dtype: 'float32' | 'int64' }>>;
  readonly outputs: number;
  readonly results: readonly Numbers[];
  readonly onto: readonly Numbers[];
  readonly gradients: Readonly<Record<string, Numbers>>;
}

const file = join(import.meta.dirname, '../../../test/vectors/layers.json');
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: readonly Layer[] };

const floats = ({ shape, data }: Numbers): Tensor<'float32'> => tensor('float32', shape, Float32Array.from(data));

function constantOf(value: Numbers & { readonly dtype: 'float32' | 'int64' }): Tensor {
  return value.dtype === 'float32'
    ? floats(value)
    : tensor('int64', value.shape, BigInt64Array.from(value.data, BigInt));
}

/** Results as y0, y1, ..., and gradients as dx0, dx1, ... */
async function run(layer: Layer): Promise<Readonly<Record<string, Tensor>>> {
  const scope = new TypeScope();
  const build = new GraphBuilder(scope, 'graph/');
  const places = Math.max(...[...Object.keys(layer.inputs), ...Object.keys(layer.constants)].map(Number)) + 1;
  const inputs = Array.from({ length: places }, (_, place) => {
    const [value, constant] = [layer.inputs[place], layer.constants[place]];
    if (constant !== undefined) return build.constant(constantOf(constant));
    if (value === undefined) return '';
    scope.declare(`x${place}`, { dtype: 'float32', shape: value.shape });
    return `x${place}`;
  });
  const outputs = Array.from({ length: layer.outputs }, (_, i) => `y${i}`);
  const node: Node = { name: 'layer', op: layer.op, domain: '', inputs, outputs, attributes: layer.attributes };
  build.keep(node);
  const seeds = new Map(layer.onto.map((value, i) => [`y${i}`, build.constant(floats(value))]));
  const wanted = Object.keys(layer.inputs).map((place) => `x${place}`);
  const gradients = differentiate({ nodes: [node], scope, seeds, wanted }, build);
  for (const [name, gradient] of gradients) build.addNamed('Identity', [gradient], { outputs: [`d${name}`] });
  const names = [...layer.results.map((_, i) => `y${i}`), ...[...gradients.keys()].map((name) => `d${name}`)];
  const graph = {
    name: layer.name,
    inputs: wanted.map((name) => ({ name, ...scope.of(name) })),
    outputs: names.map((name) => ({ name, dtype: scope.of(name).dtype })),
    weights: [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: build.nodes,
  };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  const feeds = Object.entries(layer.inputs).map(([place, value]) => [`x${place}`, floats(value)] as const);
  const found = await session.run(Object.fromEntries(feeds));
  await session.dispose();
  return found;
}

const errorOf = (found: Tensor | undefined, expected: Numbers): number =>
  found?.shape.join() === expected.shape.join()
    ? relativeError(Array.from(found.data as Iterable<number>, Number), expected.data)
    : Infinity;

describe('a layer gives the results and gradients of PyTorch', () => {
  it.each(cases.map((layer) => [`${layer.name}: ${layer.op} ${layer.results[0]?.shape.join(' x ')}`, layer] as const))(
    '%s',
    async (_, layer) => {
      const found = await run(layer);
      const errors = [
        ...layer.results.map((value, i) => [`y${i}`, errorOf(found[`y${i}`], value)] as const),
        ...Object.entries(layer.gradients).map(
          ([place, value]) => [`dx${place}`, errorOf(found[`dx${place}`], value)] as const,
        ),
      ];
      expect(errors.filter(([, error]) => !(error <= 1e-5))).toEqual([]);
    },
  );
});
