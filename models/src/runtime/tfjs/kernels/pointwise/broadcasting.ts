/**
 * Element by element over operands that broadcast, with as few axes as do: one backend computes up to six, and gives wrong numbers above.
 * https://onnx.ai/onnx/repo-docs/Broadcasting.html
 */
import type { DeviceArray, TensorFlow } from '../../value.js';

/** Up to here every backend does. */
const safeRank = 4;

type Compute = (operands: readonly DeviceArray[]) => DeviceArray;

/** Neighbouring axes along which the same operands are repeated become one. */
export function broadcasting(tf: TensorFlow, operands: readonly DeviceArray[], compute: Compute): DeviceArray {
  const rank = Math.max(...operands.map(({ shape }) => shape.length));
  if (rank <= safeRank) return compute(operands);
  const shapes = operands.map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape]);
  const whole = Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((size, shape) => (shape[axis] === 1 ? size : (shape[axis] ?? 1)), 1),
  );
  const pattern = (axis: number): string => shapes.map((shape) => (shape[axis] === whole[axis] ? 'x' : '1')).join('');
  const merged: number[][] = shapes.map(() => []);
  let before = '';
  for (const axis of whole.keys()) {
    const same = pattern(axis) === before;
    before = pattern(axis);
    for (const [i, shape] of shapes.entries()) {
      const sizes = merged[i] ?? [];
      if (same) sizes.push((sizes.pop() ?? 1) * (shape[axis] ?? 1));
      else sizes.push(shape[axis] ?? 1);
    }
  }
  return tf.reshape(compute(operands.map((operand, i) => tf.reshape(operand, merged[i] ?? []))), whole);
}
