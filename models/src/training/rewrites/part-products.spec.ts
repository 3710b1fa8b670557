/** Products in parts: the same numbers, and nothing that anybody else reads is lost. */
import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../../graph/graph.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { modelOf } from '../gradient-graph.contract.js';
import { withPartProducts } from './part-products.js';

function numbers(seed: number, ...shape: number[]): Tensor<'float32'> {
  const stream = random(seed);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: elementCount(shape) }, () => stream.normal() * 0.3),
  );
}

const weights = new Map<string, Tensor>([
  ['rows', numbers(1, 112, 6)],
  ['columns', numbers(2, 6, 112)],
  ['bias', numbers(3, 112)],
]);

/** Parts of 40 and 72 columns, each times a number of its own. */
const jointModel = (write: (build: GraphBuilder) => string, axis = 1): Model =>
  modelOf(['batch', 6], weights, {
    output: 'y',
    nodes: (build) => {
      const parts = build.addMany('Split', [write(build), build.ints([40, 72])], 2, { axis });
      return build.add(
        'Concat',
        parts.map((part, i) => build.add('Mul', [part, build.scalar(i + 2, part)])),
        { axis: 1 },
      );
    },
  });

const byRows = (build: GraphBuilder): string =>
  build.add('Gemm', ['x', 'rows', 'bias'], { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } });

const byColumns = (build: GraphBuilder): string => build.add('Gemm', ['x', 'columns']);

async function outputOf(model: Model): Promise<number[]> {
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'training' });
  const { y } = await session.run({ x: numbers(4, 5, 6) });
  await session.dispose();
  if (y?.dtype !== 'float32') throw new Error('the product is no float32 tensor');
  return [...y.data];
}

const opsOf = ({ graph }: Model): string[] => graph.nodes.map(({ op }) => op);

describe('a product that is split into columns', () => {
  it.each([
    ['by the rows of its weight', jointModel(byRows)],
    ['by the columns of its weight', jointModel(byColumns)],
    ['with its axis counted from the end', jointModel(byRows, -1)],
  ])('is a product for each part, of the same numbers, %s', async (_, model) => {
    const parts = withPartProducts(model);
    expect(opsOf(parts).filter((op) => op === 'Gemm')).toHaveLength(2);
    const [expected, found] = [await outputOf(model), await outputOf(parts)];
    expect(expected).toHaveLength(5 * 112);
    expect(Math.max(...found.map((value, i) => Math.abs(value - (expected[i] ?? NaN))))).toBeLessThan(1e-5);
  });

  it('stays whole where another node reads it', () => {
    const model = jointModel((build) => {
      const joint = byRows(build);
      build.add('Relu', [joint]);
      return joint;
    });
    expect(withPartProducts(model)).toBe(model);
  });

  it('stays whole where its parts would be narrow', () => {
    const model = modelOf(['batch', 6], weights, {
      output: 'y',
      nodes: (build) => build.addMany('Split', [byRows(build)], 7, { axis: 1, num_outputs: 7 })[0] ?? '',
    });
    expect(withPartProducts(model)).toBe(model);
  });
});
