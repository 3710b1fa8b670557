/** Shape rules of operators that have no gradient yet, each on a graph of one node; sizes as the operators' texts give them. */
import { describe, expect, it } from '@jest/globals';

import type { Attribute, Dimension, Graph, Node } from '../../graph/graph.js';
import type { Known } from '../operator.js';
import { TypeScope } from '../type-scope.js';

type Given = Known | 'left out';

const floats = (...shape: Dimension[]): Known => ({ dtype: 'float32', shape });
const of = (dtype: Known['dtype'], ...shape: Dimension[]): Known => ({ dtype, shape });
const numbers = (...elements: number[]): Known => ({ dtype: 'int64', shape: [elements.length], elements });
const number = (element: number): Known => ({ dtype: 'int64', shape: [], elements: [element] });
const int = (value: number): Attribute => ({ kind: 'int', value });
const ints = (...value: number[]): Attribute => ({ kind: 'ints', value });

function inferred(
  op: string,
  given: readonly Given[],
  more: { attributes?: Node['attributes']; outputs?: number; domain?: string } = {},
): unknown[] {
  const scope = new TypeScope();
  const inputs = given.map((known, i) => (known === 'left out' ? '' : `in${i}`));
  for (const [i, known] of given.entries()) if (known !== 'left out') scope.declare(`in${i}`, known);
  const outputs = Array.from({ length: more.outputs ?? 1 }, (_, i) => `out${i}`);
  scope.infer({ name: 'n', op, domain: more.domain ?? '', inputs, outputs, attributes: more.attributes ?? {} });
  return outputs.map((name) => {
    const { dtype, shape, container } = scope.of(name);
    return `${container ?? ''}${container === undefined ? '' : ' of '}${dtype} ${shape === undefined ? '?' : `[${shape.join(', ')}]`}`;
  });
}

const scalar = floats();
const zero = of('uint8');

describe('shapes of operators without a gradient', () => {
  it.each<[string, readonly Given[], Parameters<typeof inferred>[2], readonly string[]]>([
    ['QuantizeLinear', [floats('N', 3), scalar, of('int8')], {}, ['int8 [N, 3]']],
    ['QuantizeLinear', [floats('N', 3), scalar], { attributes: { output_dtype: int(4) } }, ['uint16 [N, 3]']],
    ['DequantizeLinear', [of('int4', 2, 3), of('float16')], {}, ['float16 [2, 3]']],
    ['DynamicQuantizeLinear', [floats('N', 3)], { outputs: 3 }, ['uint8 [N, 3]', 'float32 []', 'uint8 []']],
    ['MatMulInteger', [of('uint8', 'N', 3), of('int8', 3, 4)], {}, ['int32 [N, 4]']],
    [
      'QLinearMatMul',
      [of('uint8', 2, 3), scalar, zero, of('uint8', 3, 4), scalar, zero, scalar, zero],
      {},
      ['uint8 [2, 4]'],
    ],
    ['ConvInteger', [of('uint8', 1, 1, 3, 3), of('uint8', 1, 1, 2, 2)], {}, ['int32 [1, 1, 2, 2]']],
    ['RandomNormal', [], { attributes: { shape: ints(2, 3), dtype: int(11) } }, ['float64 [2, 3]']],
    ['RandomUniformLike', [of('float64', 'N')], {}, ['float64 [N]']],
    ['Bernoulli', [floats('N')], { attributes: { dtype: int(9) } }, ['bool [N]']],
    ['Multinomial', [floats('N', 5)], { attributes: { sample_size: int(7) } }, ['int32 [N, 7]']],
    ['StringConcat', [of('string', 'N', 1), of('string', 3)], {}, ['string [N, 3]']],
    ['RegexFullMatch', [of('string', 'N')], {}, ['bool [N]']],
    ['StringSplit', [of('string', 'N')], { outputs: 2 }, ['string [N, n:parts]', 'int64 [N]']],
    [
      'StringNormalizer',
      [of('string', 4)],
      { attributes: { stopwords: { kind: 'strings', value: ['a'] } } },
      ['string [n:words]'],
    ],
    ['TfIdfVectorizer', [of('int64', 'N', 6)], { attributes: { ngram_indexes: ints(0, 2, 1) } }, ['float32 [N, 3]']],
    ['HannWindow', [number(10)], {}, ['float32 [10]']],
    ['DFT', [floats('N', 8, 1), 'left out', number(1)], { attributes: { onesided: int(1) } }, ['float32 [N, 5, 2]']],
    [
      'DFT',
      [floats(1, 5, 2), 'left out', number(1)],
      { attributes: { onesided: int(1), inverse: int(1) } },
      ['float32 [1, 8, 1]'],
    ],
    ['STFT', [floats(2, 128, 1), number(8), 'left out', number(16)], {}, ['float32 [2, 15, 9, 2]']],
    ['MelWeightMatrix', [number(8), number(16), number(8192)], {}, ['float32 [9, 8]']],
    ['AffineGrid', [floats('N', 2, 3), numbers(4, 3, 5, 6)], {}, ['float32 [N, 5, 6, 2]']],
    ['CenterCropPad', [floats(20, 8, 3), numbers(10, 9)], { attributes: { axes: ints(0, 1) } }, ['float32 [10, 9, 3]']],
    ['Col2Im', [floats('N', 10, 9), numbers(5, 5), numbers(1, 5)], {}, ['float32 [N, 2, 5, 5]']],
    [
      'DeformConv',
      [floats(1, 1, 3, 3), floats(1, 1, 2, 2), floats(1, 8, 2, 2)],
      { attributes: { kernel_shape: ints(2, 2) } },
      ['float32 [1, 1, 2, 2]'],
    ],
    [
      'MaxUnpool',
      [floats('N', 1, 2, 2), of('int64', 'N', 1, 2, 2)],
      { attributes: { kernel_shape: ints(2, 2), strides: ints(2, 2) } },
      ['float32 [N, 1, 4, 4]'],
    ],
    ['NonMaxSuppression', [floats(1, 6, 4), floats(1, 1, 6)], {}, ['int64 [n:boxes, 3]']],
    [
      'RoiAlign',
      [floats(1, 3, 9, 9), floats('R', 4), of('int64', 'R')],
      { attributes: { output_height: int(2), output_width: int(4) } },
      ['float32 [R, 3, 2, 4]'],
    ],
    ['SequenceConstruct', [floats(2, 3), floats(2, 4)], {}, ['sequence of float32 [2, n:size.1]']],
    ['SplitToSequence', [floats(6, 3), number(2)], {}, ['sequence of float32 [2, 3]']],
    ['SequenceLength', [{ ...floats(2), container: 'sequence' }], {}, ['int64 []']],
    ['SequenceAt', [{ ...floats(2), container: 'sequence' }, number(0)], {}, ['float32 [2]']],
    [
      'ConcatFromSequence',
      [{ ...floats(2), container: 'sequence' }],
      { attributes: { axis: int(0), new_axis: int(1) } },
      ['float32 [n:joined, 2]'],
    ],
    ['Optional', [{ ...floats(2), container: 'sequence' }], {}, ['optional sequence of float32 [2]']],
    ['OptionalGetElement', [{ ...floats(2), container: 'optional sequence' }], {}, ['sequence of float32 [2]']],
    ['BitCast', [floats('N')], { attributes: { to: int(6) } }, ['int32 [N]']],
    ['CumProd', [floats('N', 2), number(0)], {}, ['float32 [N, 2]']],
    [
      'LabelEncoder',
      [of('string', 'N')],
      { domain: 'ai.onnx.ml', attributes: { values_int64s: ints(1, 2) } },
      ['int64 [N]'],
    ],
    [
      'TreeEnsembleClassifier',
      [floats('N', 4)],
      { domain: 'ai.onnx.ml', attributes: { classlabels_int64s: ints(0, 1, 2) }, outputs: 2 },
      ['int64 [N]', 'float32 [N, 3]'],
    ],
  ])('%s', (op, given, more, expected) => {
    expect(inferred(op, given, more)).toEqual(expected);
  });

  it('refuses bits that would be read in another width', () => {
    expect(() => inferred('BitCast', [floats(2)], { attributes: { to: int(7) } })).toThrow(
      /reads the bits of float32 as int64/,
    );
  });
});

const body = (inputs: readonly string[], nodes: readonly Node[], outputs: readonly string[]): Attribute => ({
  kind: 'graph',
  value: {
    name: 'body',
    inputs: inputs.map((name) => ({ name, dtype: 'undefined' })),
    outputs: outputs.map((name) => ({ name, dtype: 'undefined' })),
    weights: [],
    nodes,
  } satisfies Graph,
});

const node = (op: string, inputs: readonly string[], output: string, attributes: Node['attributes'] = {}): Node => ({
  name: `${op}.${output}`,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes,
});

describe('shapes of operators with a body', () => {
  const twice = node('Concat', ['in1', 'in1'], 'c', { axis: int(0) });

  it('are those of the branches, as far as they agree', () => {
    const attributes = {
      then_branch: body([], [twice], ['c']),
      else_branch: body([], [node('Neg', ['in1'], 'd')], ['d']),
    };
    expect(inferred('If', [of('bool'), floats(2, 3)], { attributes })).toEqual(['float32 [n:0.0, 3]']);
    const known = { ...of('bool'), elements: [1] };
    expect(inferred('If', [known, floats(2, 3)], { attributes })).toEqual(['float32 [4, 3]']);
  });

  it('do not know what grows in each turn', () => {
    const grow = node('Concat', ['s', 's'], 't', { axis: int(0) });
    const attributes = { body: body(['i', 'go', 's'], [grow, node('Neg', ['s'], 'o')], ['go', 't', 'o']) };
    expect(inferred('Loop', [number(3), of('bool'), floats(2, 3)], { attributes, outputs: 2 })).toEqual([
      'float32 [n:0.0, 3]',
      'float32 [n:turns, n:0.0, 3]',
    ]);
  });

  it('stack what each step of a scan gives', () => {
    const add = node('Add', ['s', 'e'], 't');
    const attributes = {
      num_scan_inputs: int(1),
      scan_output_axes: ints(1),
      body: body(['s', 'e'], [add], ['t', 't']),
    };
    expect(inferred('Scan', [floats(3), floats('steps', 3)], { attributes, outputs: 2 })).toEqual([
      'float32 [3]',
      'float32 [3, steps]',
    ]);
  });

  it('refuse a body that takes another number of values, or branches of other types', () => {
    const attributes = { num_scan_inputs: int(1), body: body(['s'], [], ['s']) };
    expect(() => inferred('Scan', [floats(3), floats(2, 3)], { attributes })).toThrow(/2 values to a body of 1 inputs/);
    const cast = node('Cast', ['in1'], 'd', { to: int(7) });
    const branches = { then_branch: body([], [twice], ['c']), else_branch: body([], [cast], ['d']) };
    expect(() => inferred('If', [of('bool'), floats(2, 3)], { attributes: branches })).toThrow(
      /gives a float32 or a int64/,
    );
  });
});
