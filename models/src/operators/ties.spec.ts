/** Gradients at ties, zeros and kinks, where PyTorch's choice is the reference. Vectors: test/vectors/make_ties.py */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { scopeOf } from './infer-shapes.js';
import { gradientsOf, modelOf } from '../training/gradient-graph.contract.js';
import type { Attributes } from './graph-builder.js';

interface Given {
  readonly dtype?: 'int64' | 'float32';
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

interface Vector {
  readonly op: string;
  readonly attributes: Attributes;
  /** By place among the inputs of the node. */
  readonly constants: Readonly<Record<string, Given>>;
  readonly inputs: readonly Given[];
  readonly gradients: readonly (readonly number[])[];
}

const vectors = JSON.parse(readFileSync(join('test', 'vectors', 'ties.json'), 'utf8')) as Vector[];

const real = ({ shape, data }: Given): Tensor<'float32'> => tensor('float32', shape, Float32Array.from(data));

const asTensor = (given: Given): Tensor =>
  given.dtype === 'int64' ? tensor('int64', given.shape, BigInt64Array.from(given.data, BigInt)) : real(given);

/** The gradients of the sum of the output times 1, 2, 3, ... by every real input. */
async function found({ op, attributes, constants, inputs }: Vector): Promise<number[][]> {
  const [first, ...others] = inputs;
  if (first === undefined) throw new Error('a vector has inputs');
  const weights = new Map<string, Tensor>(others.map((each, i) => [`w${i}`, real(each)]));
  const rest = ['x', ...weights.keys()];
  const names = Array.from({ length: inputs.length + Object.keys(constants).length }, (_, place) => {
    const given = constants[place];
    if (given === undefined) return rest.shift() ?? '';
    weights.set(`constant${place}`, asTensor(given));
    return `constant${place}`;
  });
  const model = modelOf(first.shape, weights, { output: 'y', nodes: (build) => build.add(op, names, attributes) });
  const shape = (scopeOf(model).shapeOf('y') ?? []).map(Number);
  const onto = real({ shape, data: Array.from({ length: elementCount(shape) }, (_, i) => i + 1) });
  const wanted = ['x', ...others.map((_, i) => `w${i}`)];
  const objective = { kind: 'projection', output: 'y', onto } as const;
  const { gradients } = await gradientsOf(model, real(first), { wanted, objective });
  return wanted.map((name, i) => {
    const gradient = gradients.get(name);
    return gradient?.dtype === 'float32' ? [...gradient.data] : (inputs[i]?.data ?? []).map(() => 0);
  });
}

describe('where a derivative is not unique', () => {
  it.each(vectors.map((vector) => [`${vector.op} ${JSON.stringify(vector.attributes)}`, vector] as const))(
    '%s chooses as PyTorch does',
    async (_, vector) => {
      const gradients = await found(vector);
      const near = (value: number): number => Number(value.toPrecision(5)) + 0;
      expect(gradients.map((each) => each.map(near))).toEqual(vector.gradients.map((each) => each.map(near)));
    },
  );
});
