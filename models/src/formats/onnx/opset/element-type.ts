/**
 * The element type of a value, followed back through nodes to an input or a weight. Almost every operator gives
 * the type of its first input; those that do not are listed.
 */
import type { Tensor } from '@graft/core/tensor';

import type { ElementType } from '../../../graph/element-type.js';
import type { Node, Value } from '../../../graph/graph.js';
import { elementTypeOf } from '../data-types.js';
import { attribute } from './attributes.js';

/** Operators whose first output has another type than their first input, or none to go by. */
const otherwise: ReadonlySet<string> = new Set(
  [
    'ArgMax ArgMin CastLike ConstantOfShape ConvInteger DequantizeLinear DynamicQuantizeLinear Equal Greater',
    'GreaterOrEqual If IsInf IsNaN Less LessOrEqual Loop MatMulInteger NonZero OneHot QLinearConv QLinearMatMul',
    'QuantizeLinear Scan Shape Size',
    'BitCast BlackmanWindow EyeLike HammingWindow HannWindow ImageDecoder LabelEncoder MelWeightMatrix Multinomial',
    'NonMaxSuppression OptionalHasElement RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli',
    'RegexFullMatch SequenceEmpty SequenceLength SequenceMap TfIdfVectorizer Optional CategoryMapper OneHotEncoder',
    'Scaler Normalizer LinearClassifier LinearRegressor SVMClassifier SVMRegressor TreeEnsembleClassifier',
    'TreeEnsembleRegressor FeatureVectorizer',
  ].flatMap((ops) => ops.split(' ')),
);

export interface TypeSource {
  readonly inputs: readonly Value[];
  readonly producer: ReadonlyMap<string, Node>;
  constant(name: string): Tensor | undefined;
}

export function elementTypes(source: TypeSource): (name: string) => ElementType | undefined {
  const declared = new Map(source.inputs.map(({ name, dtype }) => [name, dtype]));
  return (name) => {
    const seen = new Set<string>();
    for (let current = name; !seen.has(current);) {
      seen.add(current);
      const known = declared.get(current) ?? source.constant(current)?.dtype;
      if (known !== undefined) return known;
      const node = source.producer.get(current);
      if (node === undefined || otherwise.has(node.op) || node.outputs[0] !== current) return undefined;
      const { value } = node.attributes;
      if (node.op === 'Constant') return value?.kind === 'opaque' ? value.value.type : undefined;
      if (node.op === 'Cast') return elementTypeOf(attribute(node, 'to', 'int') ?? 0);
      current = node.inputs[node.op === 'Where' ? 1 : 0] ?? '';
    }
    return undefined;
  };
}
