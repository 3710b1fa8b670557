/** How weights start: https://pytorch.org/docs/stable/nn.init.html, each from a stream of its own, so that order does not matter. */
import { random, seedFrom } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

/** The number at each place of a new weight. */
export type Initial = (shape: readonly number[], seed: number) => Tensor<'float32'>;

const filled = (shape: readonly number[], next: () => number): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from({ length: elementCount(shape) }, next));

export const zerosThere: Initial = (shape) => filled(shape, () => 0);

export const ones: Initial = (shape) => filled(shape, () => 1);

/** Normal with the given standard deviation. */
export const normal =
  (deviation: number): Initial =>
  (shape, seed) => {
    const stream = random(seed);
    return filled(shape, () => stream.normal() * deviation);
  };

/** Uniform in +-bound. */
export const uniform =
  (bound: number): Initial =>
  (shape, seed) => {
    const stream = random(seed);
    return filled(shape, () => (2 * stream.next() - 1) * bound);
  };

/** What torch.nn.Linear and torch.nn.Conv2d start with: uniform in +-1/sqrt(fan in). */
export const linearInitial = (fanIn: number): Initial => uniform(1 / Math.sqrt(fanIn));

/** He and others (2015), fan out, for ReLU: convolutions [outputs, inputs / groups, height, width]. */
export const heNormal: Initial = (shape, seed) => {
  const [outputs = 1, , ...kernel] = shape;
  return normal(Math.sqrt(2 / (outputs * elementCount(kernel))))(shape, seed);
};

/** Glorot and Bengio (2010): [outputs, inputs]. */
export const glorotUniform: Initial = (shape, seed) => {
  const [outputs = 1, inputs = 1] = shape;
  return uniform(Math.sqrt(6 / (outputs + inputs)))(shape, seed);
};

/** The stream of one weight. */
export const seedOf = (seed: number, name: string): number => seedFrom(seed, name);
