/**
 * The domain ai.onnx.ml: trees, vectors and labels, in its version 4; TreeEnsemble came in 5 and replaced two others.
 * Source: https://github.com/onnx/onnx/blob/main/docs/Changelog-ml.md
 */
import type { Attribute, Node } from '../../../graph/graph.js';
import { attribute, cannotConvert, without } from './attributes.js';
import type { ConversionContext, Family } from './history.js';

export const classic: Family = {
  ArrayFeatureExtractor: { versions: [1] },
  Binarizer: { versions: [1] },
  CategoryMapper: { versions: [1] },
  FeatureVectorizer: { versions: [1] },
  Imputer: { versions: [1] },
  LabelEncoder: { versions: [1, 2, 4], into: { 2: keysAndValues } },
  LinearClassifier: { versions: [1] },
  LinearRegressor: { versions: [1] },
  Normalizer: { versions: [1] },
  OneHotEncoder: { versions: [1] },
  SVMClassifier: { versions: [1] },
  SVMRegressor: { versions: [1] },
  Scaler: { versions: [1] },
  TreeEnsemble: { versions: [5], late: true },
  TreeEnsembleClassifier: { versions: [1, 3] },
  TreeEnsembleRegressor: { versions: [1, 3] },
};

/** Version 1 numbered a list of texts, and went either way by the type of its input. */
function keysAndValues(node: Node, context: ConversionContext): Node[] {
  const texts = attribute(node, 'classes_strings', 'strings') ?? [];
  const names: Attribute = { kind: 'strings', value: texts };
  const numbers: Attribute = { kind: 'ints', value: texts.map((_, i) => i) };
  const rest = without(node, 'classes_strings');
  switch (context.elementType(node.inputs[0] ?? '')) {
    case 'string':
      return [{ ...node, attributes: { ...rest, keys_strings: names, values_int64s: numbers } }];
    case 'int64':
      return [{ ...node, attributes: { ...rest, keys_int64s: numbers, values_strings: names } }];
    default:
      throw cannotConvert(node, `the element type of '${node.inputs[0] ?? ''}' is not known`);
  }
}
