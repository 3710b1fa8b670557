/** Operators of no family: constants without an array, bits read anew, products of prefixes, determinants, unique values. */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import { bytesOfElement } from '../../graph/element-type.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { movement, operator, view, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, malformed } from '../site.js';

/** https://onnx.ai/onnx/operators/onnx__Constant.html; those with an array are weights. */
function inferConstant({ node }: Site): Known[] {
  const { value } = node.attributes;
  if (value?.kind === 'opaque') return [knownOf(value.value.type, value.value.shape)];
  if (value?.kind === 'tensor') return [knownOf(value.value.dtype, value.value.shape)];
  throw malformed(node, 'has no value');
}

function inferBitCast(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const to = elementTypeOf(intOf(site.node, 'to', 0));
  if (to === undefined || bytesOfElement(to) !== bytesOfElement(dtype)) {
    throw malformed(site.node, `reads the bits of ${dtype} as ${to ?? 'nothing'}, which has another width`);
  }
  return [knownOf(to, shape)];
}

/** Sorted or not, how many differ is known when it ran. */
function inferUnique(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const axis = site.node.attributes.axis?.kind === 'int' ? site.node.attributes.axis.value : undefined;
  const count = unknownSize(site.node.name, 'unique');
  const values = axis === undefined ? [count] : shape?.with(axis, count);
  const all = axis === undefined ? unknownSize(site.node.name, 'elements') : shape?.at(axis);
  return [
    knownOf(dtype, values),
    knownOf('int64', [count]),
    knownOf('int64', all === undefined ? undefined : [all]),
    knownOf('int64', [count]),
  ];
}

export const oddOperators: OperatorRows = {
  BitCast: view({ infer: inferBitCast, gradient: 'not differentiable' }),
  Constant: movement({ infer: inferConstant, gradient: 'not differentiable' }),
  CumProd: operator({
    infer: (site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape)],
    gradient: 'not yet',
  }),
  Det: operator({
    infer: (site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape?.slice(0, -2))],
    gradient: 'not yet',
  }),
  Unique: operator({ infer: inferUnique, gradient: 'not differentiable' }),
};
