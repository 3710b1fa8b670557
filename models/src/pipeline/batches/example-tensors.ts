/** An example as a model takes it: one tensor or several, by name, and batches of them. */
import { GraftError } from '@graft/core/error';
import { elementCount, zeros, type Tensor } from '@graft/core/tensor';

import type { Value } from '../../graph/graph.js';

/** By name, each without a batch dimension. */
export type ExampleTensors = Readonly<Record<string, Tensor>>;

/** By name, each [count, ...]. */
export type BatchTensors = Readonly<Record<string, Tensor>>;

/**
 * A batch [count, ...] of each tensor. Throws a RangeError where an example lacks a tensor, or has one of another type or shape,
 * or where there is no example.
 */
export function stackExamples(examples: readonly ExampleTensors[]): BatchTensors {
  const [first] = examples;
  if (first === undefined) throw new RangeError('no examples to stack');
  return Object.fromEntries(
    Object.entries(first).map(([name, like]) => [
      name,
      stackOne(
        examples.map((example) => example[name]),
        like,
        name,
      ),
    ]),
  );
}

function stackOne(values: readonly (Tensor | undefined)[], like: Tensor, name: string): Tensor {
  const batch = zeros(like.dtype, [values.length, ...like.shape]);
  const length = elementCount(like.shape);
  for (const [i, value] of values.entries()) {
    if (value?.dtype !== like.dtype || value.shape.join() !== like.shape.join()) {
      const got = value === undefined ? 'nothing' : `${value.dtype} [${value.shape.join(', ')}]`;
      throw new RangeError(`'${name}' is ${got} among ${like.dtype} [${like.shape.join(', ')}]`);
    }
    put(batch, value, i * length);
  }
  return batch;
}

/** Arrays of big integers and of numbers do not mix; equal types were checked. */
function put(batch: Tensor, { data }: Tensor, at: number): void {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    if (batch.data instanceof BigInt64Array || batch.data instanceof BigUint64Array) batch.data.set(data, at);
  } else if (!(batch.data instanceof BigInt64Array || batch.data instanceof BigUint64Array)) batch.data.set(data, at);
}

/**
 * The tensors under the names of a graph's inputs: a single tensor goes to the single input, several go by name.
 * Throws DATA_UNSUITABLE that names the inputs that stay empty and the tensors that nothing takes.
 */
export function bindInputs(
  inputs: readonly Pick<Value, 'name'>[],
  tensors: Readonly<Record<string, Tensor>>,
): BatchTensors {
  const given = Object.entries(tensors);
  const [input] = inputs;
  const [only] = given;
  if (input !== undefined && only !== undefined && inputs.length === 1 && given.length === 1) {
    return { [input.name]: only[1] };
  }
  const empty = inputs.filter(({ name }) => !Object.hasOwn(tensors, name));
  const unused = given.filter(([name]) => !inputs.some((taken) => taken.name === name));
  if (empty.length === 0 && unused.length === 0) return tensors;
  const names = (list: readonly string[]): string => list.slice(0, 8).join(', ') || 'nothing';
  throw new GraftError(
    'DATA_UNSUITABLE',
    `the model takes ${names(inputs.map(({ name }) => name))}, an example is ${names(given.map(([name]) => name))}`,
  );
}
