/** The domain ai.onnx.ml: labels, vectors, trees. Source: https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md */
import type { Dimension, Node } from '../../graph/graph.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf } from '../site.js';

const row = (infer: Operator['infer']): Operator => operator({ infer, gradient: 'not differentiable' });

const rowsOf = (site: Site): Dimension => {
  const shape = inputOf(site, 0).shape;
  return (shape?.length === 1 ? 1 : shape?.[0]) ?? unknownSize(site.node.name, 'rows');
};

const lengthOf = (node: Node, name: string): number | undefined => {
  const attribute = node.attributes[name];
  return attribute !== undefined && Array.isArray(attribute.value) ? attribute.value.length : undefined;
};

const same = row((site) => [knownOf(inputOf(site, 0).dtype, inputOf(site, 0).shape)]);
const asFloats = row((site) => [knownOf('float32', inputOf(site, 0).shape)]);

/** The type that the values of a LabelEncoder are listed in. */
function inferLabels(site: Site): Known[] {
  const { node } = site;
  const listed = node.attributes.values_tensor;
  const names = ['values_strings', 'values_int64s', 'values_floats'].find(
    (name) => node.attributes[name] !== undefined,
  );
  const types = { values_strings: 'string', values_int64s: 'int64', values_floats: 'float32' } as const;
  const named = types[(names ?? 'values_strings') as keyof typeof types];
  const dtype = listed?.kind === 'tensor' ? listed.value.dtype : listed?.kind === 'opaque' ? listed.value.type : named;
  return [knownOf(dtype, inputOf(site, 0).shape)];
}

/** A label for each row, and the score of each class. */
function classifier(texts: string, numbers: string): Operator {
  return row((site) => {
    const named = lengthOf(site.node, texts) ?? 0;
    const classes = named > 0 ? named : (lengthOf(site.node, numbers) ?? unknownSize(site.node.name, 'classes'));
    return [knownOf(named > 0 ? 'string' : 'int64', [rowsOf(site)]), knownOf('float32', [rowsOf(site), classes])];
  });
}

function regressor(name: string): Operator {
  return row((site) => [knownOf('float32', [rowsOf(site), intOf(site.node, name, 1)])]);
}

function inferOneHot(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const count = lengthOf(site.node, 'cats_int64s') ?? lengthOf(site.node, 'cats_strings');
  return [knownOf('float32', shape && [...shape, count ?? unknownSize(site.node.name, 'categories')])];
}

function inferPicked(site: Site): Known[] {
  const { dtype, shape } = inputOf(site, 0);
  const picked = inputOf(site, 1).shape?.at(-1) ?? unknownSize(site.node.name, 'picked');
  return [knownOf(dtype, shape && (shape.length <= 1 ? [1, picked] : shape.with(shape.length - 1, picked)))];
}

const own: OperatorRows = {
  ArrayFeatureExtractor: row(inferPicked),
  Binarizer: same,
  CategoryMapper: row((site) => {
    const { dtype, shape } = inputOf(site, 0);
    return [knownOf(dtype === 'string' ? 'int64' : 'string', shape)];
  }),
  FeatureVectorizer: row((site) => {
    const lists = site.node.attributes.inputdimensions;
    const total = lists?.kind === 'ints' ? lists.value.reduce((sum, size) => sum + size, 0) : undefined;
    return [knownOf('float32', [rowsOf(site), total ?? unknownSize(site.node.name, 'features')])];
  }),
  Imputer: same,
  LabelEncoder: row(inferLabels),
  LinearClassifier: classifier('classlabels_strings', 'classlabels_ints'),
  LinearRegressor: regressor('targets'),
  Normalizer: asFloats,
  OneHotEncoder: row(inferOneHot),
  SVMClassifier: classifier('classlabels_strings', 'classlabels_ints'),
  SVMRegressor: row((site) => [knownOf('float32', [rowsOf(site), 1])]),
  Scaler: asFloats,
  TreeEnsemble: row((site) => [knownOf(inputOf(site, 0).dtype, [rowsOf(site), intOf(site.node, 'n_targets', 1)])]),
  TreeEnsembleClassifier: classifier('classlabels_strings', 'classlabels_int64s'),
  TreeEnsembleRegressor: regressor('n_targets'),
};

/** Rows under the names that the operator table has for another domain. */
export const classicOperators: OperatorRows = Object.fromEntries(
  Object.entries(own).map(([op, each]) => [`ai.onnx.ml.${op}`, each]),
);
