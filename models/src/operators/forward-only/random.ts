/** Values that are drawn when the graph runs: https://onnx.ai/onnx/operators/onnx__RandomUniform.html and its kin. */
import { elementTypeOf } from '../../formats/onnx/data-types.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, intsOf } from '../site.js';

function drawn(shape: (site: Site) => Known['shape'], otherwise: (site: Site) => Known['dtype']): Operator {
  return operator({
    infer: (site) => [knownOf(elementTypeOf(intOf(site.node, 'dtype', 0)) ?? otherwise(site), shape(site))],
    gradient: 'not differentiable',
  });
}

const ofAttribute = ({ node }: Site): Known['shape'] => intsOf(node, 'shape');
const ofInput = (site: Site): Known['shape'] => inputOf(site, 0).shape;
const typeOfInput = (site: Site): Known['dtype'] => inputOf(site, 0).dtype;

export const randomOperators: OperatorRows = {
  Bernoulli: drawn(ofInput, typeOfInput),
  Multinomial: drawn(
    (site) => {
      const [batch] = inputOf(site, 0).shape ?? [];
      return batch === undefined ? undefined : [batch, intOf(site.node, 'sample_size', 1)];
    },
    () => 'int32',
  ),
  RandomNormal: drawn(ofAttribute, () => 'float32'),
  RandomNormalLike: drawn(ofInput, typeOfInput),
  RandomUniform: drawn(ofAttribute, () => 'float32'),
  RandomUniformLike: drawn(ofInput, typeOfInput),
};
