/** Shapes of windows, resizing, products and layers over sizes that are symbols. */
import { tensor } from '@graft/core/tensor';

import type { Dimension } from '../graph/graph.js';
import { GraphBuilder, type Attributes } from './graph-builder.js';
import { TypeScope } from './type-scope.js';

interface Asked {
  readonly shapes: readonly (readonly Dimension[])[];
  readonly attributes?: Attributes;
  readonly constants?: Readonly<Record<number, readonly number[]>>;
  readonly count?: number;
}

/** The shapes of the results of a node; an input without a shape here is left out. */
function shapesOf(op: string, { shapes, attributes = {}, constants = {}, count = 1 }: Asked): (readonly Dimension[])[] {
  const scope = new TypeScope();
  const build = new GraphBuilder(scope, 'g/');
  const places = Math.max(shapes.length, ...Object.keys(constants).map((each) => Number(each) + 1));
  const inputs = Array.from({ length: places }, (_, i) => {
    const numbers = constants[i];
    if (numbers !== undefined) {
      const whole = numbers.every((each) => Number.isInteger(each)) && op !== 'Resize';
      return whole
        ? build.ints(numbers)
        : build.constant(tensor('float32', [numbers.length], Float32Array.from(numbers)));
    }
    const shape = shapes[i];
    if (shape === undefined) return '';
    scope.declare(`x${i}`, { dtype: 'float32', shape });
    return `x${i}`;
  });
  return build.addMany(op, inputs, count, attributes).map((name) => build.shapeOf(name));
}

const image: readonly Dimension[] = ['batch', 3, 'height', 'width'];

describe('over symbols', () => {
  it('windows that keep the size say so, and others how it is made', () => {
    const pool = (attributes: Attributes): readonly Dimension[] | undefined =>
      shapesOf('MaxPool', { shapes: [image], attributes })[0];
    expect(pool({ kernel_shape: [3, 3], pads: [1, 1, 1, 1] })).toEqual(['batch', 3, 'height', 'width']);
    expect(pool({ kernel_shape: [3, 3] })).toEqual(['batch', 3, '-2+height', '-2+width']);
    const halved = pool({ kernel_shape: [2, 2], strides: [2, 2] });
    expect(halved).toEqual(pool({ kernel_shape: [2, 2], strides: [2, 2] }));
    expect(halved?.[2]).toMatch(/floor.*height/);
    expect(pool({ kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' })?.[3]).toMatch(/ceil.*width/);
  });

  it('two ways to halve an image give the same size, so that their results can be added', () => {
    const strided = shapesOf('Conv', {
      shapes: [image, [8, 3, 3, 3]],
      attributes: { strides: [2, 2], pads: [1, 1, 1, 1] },
    });
    const pointwise = shapesOf('Conv', { shapes: [image, [8, 3, 1, 1]], attributes: { strides: [2, 2] } });
    expect(strided).toEqual(pointwise);
  });

  it('whole scales multiply', () => {
    expect(shapesOf('Resize', { shapes: [image], constants: { 2: [1, 1, 2, 2] } })[0]).toEqual([
      'batch',
      3,
      '2*height',
      '2*width',
    ]);
    expect(shapesOf('Resize', { shapes: [image], constants: { 2: [1, 1, 0.5, 1] } })[0]?.[2]).toMatch(/floor.*height/);
  });

  it('products and equations keep the symbols of their operands', () => {
    expect(
      shapesOf('MatMul', {
        shapes: [
          ['batch', 'length', 4],
          ['batch', 4, 'length'],
        ],
      }),
    ).toEqual([['batch', 'length', 'length']]);
    const equation = '...id,...jd->...ij';
    const attributes = { equation };
    expect(
      shapesOf('Einsum', {
        shapes: [
          ['batch', 2, 'length', 4],
          ['batch', 2, 'keys', 4],
        ],
        attributes,
      }),
    ).toEqual([['batch', 2, 'length', 'keys']]);
  });

  it('recurrent layers keep length and batch', () => {
    const shapes = [
      ['length', 'batch', 4],
      [2, 12, 4],
      [2, 12, 3],
    ];
    const attributes = { hidden_size: 3, direction: 'bidirectional' };
    expect(shapesOf('LSTM', { shapes, attributes, count: 3 })).toEqual([
      ['length', 2, 'batch', 3],
      [2, 'batch', 3],
      [2, 'batch', 3],
    ]);
    const batchFirst = { hidden_size: 3, direction: 'bidirectional', layout: 1 };
    expect(
      shapesOf('LSTM', { shapes: [['batch', 'length', 4], ...shapes.slice(1)], attributes: batchFirst, count: 2 }),
    ).toEqual([
      ['batch', 'length', 2, 3],
      ['batch', 2, 3],
    ]);
  });
});

describe('what does not fit is refused by name', () => {
  it.each<[string, string, Asked, RegExp]>([
    ['a window of too few axes', 'MaxPool', { shapes: [image], attributes: { kernel_shape: [2] } }, /1 axes over 2/],
    [
      'a window larger than the image',
      'AveragePool',
      { shapes: [[1, 1, 2, 2]], attributes: { kernel_shape: [3, 3] } },
      /window of 3 over 2/,
    ],
    [
      'sizes that do not multiply',
      'MatMul',
      {
        shapes: [
          [2, 3],
          [4, 5],
        ],
      },
      /3 columns with 4 rows/,
    ],
    [
      'an equation of other operands',
      'Einsum',
      { shapes: [[2, 3]], attributes: { equation: 'ij,jk->ik' } },
      /1 operands/,
    ],
    ['an equation of other ranks', 'Einsum', { shapes: [[2, 3]], attributes: { equation: 'ijk->i' } }, /rank 2/],
    ['an equation of unknown labels', 'Einsum', { shapes: [[2, 3]], attributes: { equation: 'ij->ik' } }, /'k'/],
    [
      'an equation of other sizes',
      'Einsum',
      {
        shapes: [
          [2, 3],
          [4, 5],
        ],
        attributes: { equation: 'ij,jk->ik' },
      },
      /'j'/,
    ],
    ['an equation that is no equation', 'Einsum', { shapes: [[2, 3]], attributes: { equation: 'i(j' } }, /equation/],
    ['a scale of zero', 'Resize', { shapes: [image], constants: { 2: [1, 1, 0, 1] } }, /axis 2 by 0/],
    ['too few scales', 'Resize', { shapes: [image], constants: { 2: [1, 1] } }, /4 axes and gives 2/],
    ['neither scales nor sizes', 'Resize', { shapes: [image] }, /neither/],
    ['more elements than there are', 'TopK', { shapes: [[2, 3]], constants: { 1: [4] } }, /4 elements of 3/],
    [
      'a direction that is none',
      'GRU',
      {
        shapes: [
          [4, 2, 2],
          [1, 9, 2],
          [1, 9, 3],
        ],
        attributes: { direction: 'sideways' },
      },
      /sideways/,
    ],
    [
      'a sequence of rank 2',
      'RNN',
      {
        shapes: [
          [4, 2],
          [1, 3, 2],
          [1, 3, 3],
        ],
      },
      /rank 2/,
    ],
    [
      'an unknown reduction',
      'SoftmaxCrossEntropyLoss',
      { shapes: [[2, 3], [2]], attributes: { reduction: 'most' } },
      /'most'/,
    ],
  ])('%s', (_, op, asked, message) => {
    expect(() => shapesOf(op, asked)).toThrow(
      expect.objectContaining({ code: 'MODEL_MALFORMED', message: expect.stringMatching(message) }),
    );
  });
});
