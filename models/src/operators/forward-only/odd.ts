/** Operators of no family: bits read anew, products of prefixes, determinants. */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import { bytesOfElement } from '../../graph/element-type.js';
import { knownOf } from '../known.js';
import { operator, view, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, malformed } from '../site.js';

function inferBitCast(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const to = elementTypeOf(intOf(site.node, 'to', 0));
  if (to === undefined || bytesOfElement(to) !== bytesOfElement(dtype)) {
    throw malformed(site.node, `reads the bits of ${dtype} as ${to ?? 'nothing'}, which has another width`);
  }
  return [knownOf(to, shape)];
}

export const oddOperators: OperatorRows = {
  BitCast: view({ infer: inferBitCast, gradient: 'not differentiable' }),
  CumProd: operator({
    infer: (site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape)],
    gradient: 'not yet',
  }),
  Det: operator({
    infer: (site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape?.slice(0, -2))],
    gradient: 'not yet',
  }),
};
