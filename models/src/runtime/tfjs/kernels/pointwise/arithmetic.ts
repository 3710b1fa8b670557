/** Arithmetic and comparisons that broadcast: https://onnx.ai/onnx/operators/ */
import { intOf } from '../../../../operators/site.js';
import { assertComputed, result, tensorAt, valueAt, type Call, type Kernel, type Kernels } from '../../kernel.js';
import { broadcasting } from './broadcasting.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';

type Binary = (tf: TensorFlow, a: DeviceArray, b: DeviceArray) => DeviceArray;
/** The operation over operands that broadcast, however many axes they have. */
const wide =
  (compute: Binary): Binary =>
  (tf, a, b) =>
    broadcasting(tf, [a, b], ([left = a, right = b]) => compute(tf, left, right));

type Fold = (a: number, b: number) => number;

/** Integers that say shapes are computed where they are. */
function folded(call: Call, fold: Fold): readonly Value[] | undefined {
  const [a, b] = [valueAt(call, 0), valueAt(call, 1)];
  if (a.known === undefined || b.known === undefined || a.dtype === 'float32') return undefined;
  const [left, right] = [a.known, b.known];
  if (
    a.shape.length > 1 ||
    b.shape.length > 1 ||
    (left.length !== right.length && left.length !== 1 && right.length !== 1)
  )
    return undefined;
  const length = left.length === 1 ? right.length : left.length;
  const numbers = Array.from({ length }, (_, i) =>
    fold(left[left.length === 1 ? 0 : i] ?? 0, right[right.length === 1 ? 0 : i] ?? 0),
  );
  const shape = a.shape.length + b.shape.length === 0 ? [] : [length];
  return [Value.ofNumbers(call.tf, { dtype: a.dtype, shape }, numbers)];
}

const binary =
  (compute: Binary, fold?: Fold): Kernel =>
  (call) => {
    assertComputed(call);
    const onHost = fold === undefined ? undefined : folded(call, fold);
    return onHost ?? result(valueAt(call, 0).dtype, wide(compute)(call.tf, tensorAt(call, 0), tensorAt(call, 1)));
  };

const comparison =
  (compute: Binary): Kernel =>
  (call) =>
    result('bool', wide(compute)(call.tf, tensorAt(call, 0), tensorAt(call, 1)));

/** Any number of operands. */
const variadic =
  (compute: Binary): Kernel =>
  (call) => {
    assertComputed(call);
    const [first, ...rest] = call.inputs.map((_, i) => tensorAt(call, i));
    const start = first ?? tensorAt(call, 0);
    return result(
      valueAt(call, 0).dtype,
      rest.reduce((sum, each) => wide(compute)(call.tf, sum, each), start),
    );
  };

/** Integers are divided towards zero, as C does; tfjs would round down or go through float32, which is not exact. */
function divide(tf: TensorFlow, a: DeviceArray, b: DeviceArray): DeviceArray {
  if (a.dtype === 'float32') return tf.div(a, b);
  const quotient = tf.cast(tf.floorDiv(tf.abs(a), tf.abs(b)), 'int32');
  return tf.mul(quotient, tf.mul(tf.sign(a), tf.sign(b)));
}

/** The remainder has the sign of the divisor, or with fmod = 1 that of the dividend. */
function modulo(call: Call): readonly Value[] {
  const { tf } = call;
  const [a, b] = [tensorAt(call, 0), tensorAt(call, 1)];
  const { dtype } = valueAt(call, 0);
  if (intOf(call.node, 'fmod', 0) === 0) return result(dtype, tf.mod(a, b));
  return result(dtype, tf.mul(tf.sign(a), tf.mod(tf.abs(a), tf.abs(b))));
}

/** Squares and cubes as products: the logarithm inside pow costs digits. */
function power(call: Call): readonly Value[] {
  const { tf } = call;
  const base = valueAt(call, 0);
  const x = base.tensor(tf);
  const exponent = valueAt(call, 1);
  const known = exponent.shape.length === 0 ? exponent.scalar() : undefined;
  if (known === 2) return result(base.dtype, tf.mul(x, x));
  if (known === 3) return result(base.dtype, tf.mul(x, tf.mul(x, x)));
  const y = tf.pow(tf.cast(x, 'float32'), tf.cast(exponent.tensor(tf), 'float32'));
  return result(base.dtype, base.dtype === 'float32' ? y : tf.cast(tf.round(y), 'int32'));
}

export const arithmeticKernels: Kernels = {
  Add: binary(
    (tf, a, b) => tf.add(a, b),
    (a, b) => a + b,
  ),
  Sub: binary(
    (tf, a, b) => tf.sub(a, b),
    (a, b) => a - b,
  ),
  Mul: binary(
    (tf, a, b) => tf.mul(a, b),
    (a, b) => a * b,
  ),
  Div: binary(divide, (a, b) => Math.trunc(a / b)),
  Mod: modulo,
  Pow: power,
  Max: variadic((tf, a, b) => tf.maximum(a, b)),
  Min: variadic((tf, a, b) => tf.minimum(a, b)),
  Sum: variadic((tf, a, b) => tf.add(a, b)),
  Mean: (call) => {
    const [sum] = variadic((tf, a, b) => tf.add(a, b))(call);
    return sum === undefined ? [] : result(sum.dtype, call.tf.div(sum.tensor(call.tf), call.inputs.length));
  },
  Where: (call) => {
    const { tf } = call;
    const [condition, a, b] = [tensorAt(call, 0), tensorAt(call, 1), tensorAt(call, 2)];
    const chosen = broadcasting(tf, [condition, a, b], ([c = condition, x = a, y = b]) => tf.where(c, x, y));
    return result(valueAt(call, 1).dtype, chosen);
  },
  Equal: comparison((tf, a, b) => tf.equal(a, b)),
  Greater: comparison((tf, a, b) => tf.greater(a, b)),
  GreaterOrEqual: comparison((tf, a, b) => tf.greaterEqual(a, b)),
  Less: comparison((tf, a, b) => tf.less(a, b)),
  LessOrEqual: comparison((tf, a, b) => tf.lessEqual(a, b)),
  And: comparison((tf, a, b) => tf.logicalAnd(a, b)),
  Or: comparison((tf, a, b) => tf.logicalOr(a, b)),
  Xor: comparison((tf, a, b) => tf.notEqual(tf.cast(a, 'int32'), tf.cast(b, 'int32'))),
};
