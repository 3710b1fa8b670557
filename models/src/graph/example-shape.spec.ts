import { withExampleInputs } from './example-shape.js';
import type { Model, Value } from './graph.js';

const model = (inputs: readonly Value[]): Model => ({
  graph: {
    name: 'm',
    inputs,
    outputs: [{ name: 'y', dtype: 'float32', shape: ['batch', 'sequence', 4] }],
    weights: [],
    nodes: [],
  },
  weights: new Map(),
});
const ids = { name: 'input_ids', dtype: 'int64', shape: ['batch', 'sequence'] } as const;
const mask = { name: 'attention_mask', dtype: 'int64', shape: ['batch', 'sequence'] } as const;
const example = (name: string, ...shape: number[]) => ({ name, dtype: 'int64', shape });

describe('a model for examples of one size', () => {
  it('gets it in every input and wherever a symbol stands for it', () => {
    const { graph } = withExampleInputs(model([ids, mask]), [example('attention_mask', 16), example('input_ids', 16)]);
    expect(graph.inputs.map(({ shape }) => shape)).toEqual([
      ['batch', 16],
      ['batch', 16],
    ]);
    expect(graph.outputs[0]?.shape).toEqual(['batch', 16, 4]);
  });

  it('takes a single tensor for its single input, whatever the names, and an input without a shape', () => {
    const { graph } = withExampleInputs(model([ids]), [example('x', 8)]);
    expect(graph.inputs[0]).toMatchObject({ name: 'input_ids', shape: ['batch', 8] });
    const open = withExampleInputs(model([{ name: 'a', dtype: 'int64' }, mask]), [
      example('a', 2, 3),
      example('attention_mask', 5),
    ]);
    expect(open.graph.inputs.map(({ shape }) => shape)).toEqual([
      ['batch', 2, 3],
      ['batch', 5],
    ]);
  });

  it.each([
    ['fewer tensors than it takes', [ids, mask], [example('input_ids', 8)], 'takes input_ids, attention_mask'],
    ['other names', [ids, mask], [example('input_ids', 8), example('mask', 8)], 'an example is input_ids, mask'],
    [
      'two sizes for one symbol',
      [ids, mask],
      [example('input_ids', 8), example('attention_mask', 9)],
      'an example is [9]',
    ],
    [
      'another size',
      [{ ...ids, shape: ['batch', 12] }, mask],
      [example('input_ids', 8), example('attention_mask', 8)],
      'takes [batch, 12]',
    ],
    ['another type', [{ ...ids, dtype: 'int32' as const }], [example('x', 8)], 'takes int32'],
  ])('is refused for examples of %s', (_, inputs, examples, message) => {
    expect(() => withExampleInputs(model(inputs), examples)).toThrow(
      expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(message) }),
    );
  });
});
