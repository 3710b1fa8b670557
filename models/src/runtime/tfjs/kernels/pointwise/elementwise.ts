/** Functions of one tensor, element by element: https://onnx.ai/onnx/operators/ */
import { dtypeOf } from '../../../../formats/onnx/data-types.js';
import { intOf, unsupported } from '../../../../operators/site.js';
import {
  assertComputed,
  ofFirst,
  result,
  tensorAt,
  valueAt,
  type Call,
  type Kernel,
  type Kernels,
} from '../../kernel.js';
import { Value, heldAs, type DeviceArray, type TensorFlow } from '../../value.js';

type Unary = (tf: TensorFlow, x: DeviceArray) => DeviceArray;

const unary = (compute: Unary): Kernel =>
  ofFirst((call, x) => {
    assertComputed(call);
    return compute(call.tf, x);
  });

const test =
  (compute: Unary): Kernel =>
  (call) =>
    result('bool', compute(call.tf, tensorAt(call, 0)));

function cast(call: Call): readonly Value[] {
  const { tf, node } = call;
  const dtype = dtypeOf(intOf(node, 'to', 0));
  if (dtype === undefined) throw unsupported(node, 'casts to an element type that is not supported');
  const from = valueAt(call, 0);
  const to = heldAs(dtype, `the result of node '${node.name}'`);
  if (dtype !== from.dtype && !['float32', 'int32', 'int64', 'bool'].includes(dtype))
    throw unsupported(node, `casts to ${dtype}, which the runtime tfjs only moves`);
  if (from.known !== undefined && to === 'int32' && from.dtype !== 'float32')
    return [Value.ofNumbers(tf, { dtype, shape: from.shape }, from.known)];
  const x = from.tensor(tf);
  // As C does, any number but zero is true, and not only those whose integer part is none.
  return result(dtype, to === 'bool' ? tf.notEqual(x, tf.zerosLike(x)) : tf.cast(x, to));
}

/** Where integers are divided or rounded nothing changes. */
const ofFloats =
  (compute: Unary): Unary =>
  (tf, x) =>
    x.dtype === 'float32' ? compute(tf, x) : x;

export const elementwiseKernels: Kernels = {
  Identity: (call) => [valueAt(call, 0)],
  Cast: cast,
  CastLike: (call) => {
    const { tf } = call;
    const { dtype } = valueAt(call, 1);
    return result(dtype, tf.cast(tensorAt(call, 0), heldAs(dtype, `the result of node '${call.node.name}'`)));
  },
  Neg: unary((tf, x) => tf.neg(x)),
  Abs: unary((tf, x) => tf.abs(x)),
  Exp: unary((tf, x) => tf.exp(x)),
  Log: unary((tf, x) => tf.log(x)),
  Sqrt: unary((tf, x) => tf.sqrt(x)),
  Reciprocal: unary((tf, x) => tf.div(1, x)),
  Erf: unary((tf, x) => tf.erf(x)),
  Sign: unary((tf, x) => tf.sign(x)),
  Floor: unary(ofFloats((tf, x) => tf.floor(x))),
  Ceil: unary(ofFloats((tf, x) => tf.ceil(x))),
  /** Halves go to the even neighbour, as IEEE 754 rounds. */
  Round: unary(ofFloats((tf, x) => tf.round(x))),
  Sin: unary((tf, x) => tf.sin(x)),
  Cos: unary((tf, x) => tf.cos(x)),
  Tan: unary((tf, x) => tf.tan(x)),
  Asin: unary((tf, x) => tf.asin(x)),
  Acos: unary((tf, x) => tf.acos(x)),
  Atan: unary((tf, x) => tf.atan(x)),
  Sinh: unary((tf, x) => tf.sinh(x)),
  Cosh: unary((tf, x) => tf.cosh(x)),
  Asinh: unary((tf, x) => tf.asinh(x)),
  Acosh: unary((tf, x) => tf.acosh(x)),
  Atanh: unary((tf, x) => tf.atanh(x)),
  Not: test((tf, x) => tf.logicalNot(x)),
  IsNaN: test((tf, x) => tf.isNaN(x)),
  IsInf: (call) => {
    const { tf, node } = call;
    const x = tensorAt(call, 0);
    const [up, down] = ['detect_positive', 'detect_negative'].map((name) => intOf(node, name, 1) === 1);
    const signed = up && down ? tf.isInf(x) : tf.logicalAnd(tf.isInf(x), up ? tf.greater(x, 0) : tf.less(x, 0));
    return result('bool', up || down ? signed : tf.logicalAnd(signed, tf.logicalNot(signed)));
  },
};
