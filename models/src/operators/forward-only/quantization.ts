/** Quantised operators: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html and its kin. Their straight-through gradients are not written yet. */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import { convOperators } from '../convolution/conv.js';
import { knownOf } from '../known.js';
import { matmulOperators } from '../products/matmul.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, malformed } from '../site.js';

/** The shape rule of another operator for some of this one's inputs, with the element type of this one's result. */
function like(row: Operator | undefined, picked: readonly number[], dtype: (site: Site) => Known['dtype']): Operator {
  const at = (site: Site): Site => ({ node: site.node, inputs: picked.map((index) => site.inputs[index]) });
  return operator({
    infer: (site) => {
      if (row === undefined) throw malformed(site.node, 'has no operator of real numbers to go by');
      return row.infer(at(site)).map(({ shape }) => knownOf(dtype(site), shape));
    },
    flops: (site, outputs) => row?.flops(at(site), outputs) ?? 0,
    gradient: 'not yet',
  });
}

function quantized({ node, inputs }: Site): Known['dtype'] {
  return inputs[2]?.dtype ?? elementTypeOf(intOf(node, 'output_dtype', 0)) ?? 'uint8';
}

export const quantizationOperators: OperatorRows = {
  ConvInteger: like(convOperators.Conv, [0, 1], () => 'int32'),
  DequantizeLinear: operator({
    infer: (site) => [knownOf(inputOf(site, 1).dtype, inputOf(site, 0).shape)],
    gradient: 'not yet',
  }),
  DynamicQuantizeLinear: operator({
    infer: (site) => [knownOf('uint8', inputOf(site, 0).shape), knownOf('float32', []), knownOf('uint8', [])],
    gradient: 'not yet',
  }),
  MatMulInteger: like(matmulOperators.MatMul, [0, 1], () => 'int32'),
  QLinearConv: like(convOperators.Conv, [0, 3], (site) => inputOf(site, 7).dtype),
  QLinearMatMul: like(matmulOperators.MatMul, [0, 3], (site) => inputOf(site, 7).dtype),
  QuantizeLinear: operator({
    infer: (site) => [knownOf(quantized(site), inputOf(site, 0).shape)],
    gradient: 'not yet',
  }),
};
