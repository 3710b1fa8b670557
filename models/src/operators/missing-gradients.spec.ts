/** Forms of operators whose gradient nobody has written are refused by name, never left out. */
import type { Attribute, Dimension, Node } from '../graph/graph.js';
import { differentiate } from '../training/differentiate.js';
import { GraphBuilder } from './graph-builder.js';
import { TypeScope } from './type-scope.js';

interface Form {
  readonly op: string;
  readonly shapes: readonly (readonly Dimension[])[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Constants by place, as int64. */
  readonly constants?: Readonly<Record<number, readonly number[]>>;
  readonly outputs?: number;
  /** The result that the loss reads; the first unless given. */
  readonly read?: number;
  /** The input whose gradient is asked for; the first unless given. */
  readonly by?: number;
}

const int = (value: number): Attribute => ({ kind: 'int', value });
const float = (value: number): Attribute => ({ kind: 'float', value });
const string = (value: string): Attribute => ({ kind: 'string', value });
const strings = (...value: string[]): Attribute => ({ kind: 'strings', value });

function gradientOf({ op, shapes, attributes, constants = {}, outputs = 1, read = 0, by = 0 }: Form): void {
  const scope = new TypeScope();
  const build = new GraphBuilder(scope, 'g/');
  const places = Math.max(shapes.length, ...Object.keys(constants).map((each) => Number(each) + 1));
  const inputs = Array.from({ length: places }, (_, i) => {
    const [numbers, shape] = [constants[i], shapes[i]];
    if (numbers !== undefined) return build.ints(numbers);
    if (shape === undefined) return '';
    scope.declare(`x${i}`, { dtype: 'float32', shape });
    return `x${i}`;
  });
  const names = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const node: Node = { name: 'the layer', op, domain: '', inputs, outputs: names, attributes };
  build.keep(node);
  scope.declare('dy', scope.of(`y${read}`));
  differentiate({ nodes: [node], scope, seeds: new Map([[`y${read}`, 'dy']]), wanted: [`x${by}`] }, build);
}

const sequence = [
  [4, 2, 3],
  [1, 20, 3],
  [1, 20, 5],
] as const;
const image = [1, 2, 4, 4];

describe('the gradient is refused of', () => {
  it.each<[string, Form]>([
    ['a recurrent layer whose batch is first', { op: 'LSTM', shapes: sequence, attributes: { layout: int(1) } }],
    ['gates that are clipped', { op: 'LSTM', shapes: sequence, attributes: { clip: float(1) } }],
    ['gates that are coupled', { op: 'LSTM', shapes: sequence, attributes: { input_forget: int(1) } }],
    [
      'an activation that has no slope here',
      {
        op: 'RNN',
        shapes: [
          [4, 2, 3],
          [1, 5, 3],
          [1, 5, 5],
        ],
        attributes: { activations: strings('Softsign') },
      },
    ],
    [
      'directions of different activations',
      {
        op: 'RNN',
        shapes: [
          [4, 2, 3],
          [2, 5, 3],
          [2, 5, 5],
        ],
        attributes: { activations: strings('Tanh', 'Relu'), direction: string('bidirectional') },
      },
    ],
    [
      'an image that is smoothed as it shrinks',
      {
        op: 'Resize',
        shapes: [image],
        constants: { 3: [1, 2, 2, 2] },
        attributes: { mode: string('linear'), antialias: int(1) },
      },
    ],
    [
      'a grid that is reflected',
      { op: 'GridSample', shapes: [image, [1, 2, 2, 2]], attributes: { padding_mode: string('reflection') } },
    ],
    ['a cubic grid', { op: 'GridSample', shapes: [image, [1, 2, 2, 2]], attributes: { mode: string('cubic') } }],
    [
      'running statistics that a loss reads',
      {
        op: 'BatchNormalization',
        shapes: [image, [2], [2], [2], [2]],
        attributes: { training_mode: int(1) },
        outputs: 3,
        read: 1,
      },
    ],
  ])('%s', (_, form) => {
    expect(() => gradientOf(form)).toThrow(
      expect.objectContaining({ code: 'GRADIENT_MISSING', message: expect.stringContaining("'the layer'") }),
    );
  });

  it('running statistics by themselves, which are no weights', () => {
    const form = { op: 'BatchNormalization', shapes: [image, [2], [2], [2], [2]], attributes: {}, by: 3 };
    expect(() => gradientOf(form)).toThrow(expect.objectContaining({ code: 'NOT_DIFFERENTIABLE' }));
  });
});
