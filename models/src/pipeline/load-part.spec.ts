import { tensor, type Tensor, type Weights } from '@graft/core/tensor';

import { encodeSafetensors } from '../formats/safetensors.js';
import type { Model } from '../graph/graph.js';
import { encodeDownlink } from '../quantize/downlink.js';
import { loadPart, partsOf } from './load-part.js';
import { mergePipeline } from './merge-pipeline.js';
import { stack } from './features.js';

const vector = (...values: number[]): Tensor<'float32'> =>
  tensor('float32', [values.length], Float32Array.from(values));

/** y = x + a + b */
const model: Model = {
  graph: {
    name: 'sum',
    inputs: [{ name: 'x', dtype: 'float32', shape: ['n', 2] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: ['n', 2] }],
    weights: [
      { name: 'a', dtype: 'float32', shape: [2] },
      { name: 'b', dtype: 'float32', shape: [2] },
    ],
    nodes: [
      { name: 'first', op: 'Add', domain: '', inputs: ['x', 'a'], outputs: ['h'], attributes: {} },
      { name: 'second', op: 'Add', domain: '', inputs: ['h', 'b'], outputs: ['y'], attributes: {} },
    ],
  },
  weights: new Map([
    ['a', vector(1, 2)],
    ['b', vector(3, 1 / 3)],
  ]),
};

const filesOf = (trainable: readonly string[]): Uint8Array[] => {
  const { frozen, trainable: trained } = partsOf(model, trainable);
  return [frozen, trained].flatMap((file) => file ?? []);
};

describe('a part of a pipeline', () => {
  it.each([[[]], [['b']], [['a', 'b']]])('is the same after it was stored, with %j trained', (trainable) => {
    const files = filesOf(trainable);
    expect(files).toHaveLength(trainable.length === 1 ? 2 : 1);
    expect(loadPart(partsOf(model, trainable).graph, files)).toEqual(model);
  });

  it('takes each tensor from the last file that has it', () => {
    const { graph } = partsOf(model, []);
    const later = encodeSafetensors(new Map([['b', vector(7, 8)]]));
    expect(loadPart(graph, [...filesOf([]), later]).weights.get('b')).toEqual(vector(7, 8));
    expect(loadPart(graph, [later, ...filesOf([])]).weights.get('b')).toEqual(vector(3, 1 / 3));
  });

  it('widens float16 to float32', () => {
    const { bytes } = encodeDownlink(model.weights);
    const { weights } = loadPart(partsOf(model, []).graph, [bytes]);
    expect(weights.get('a')).toEqual(vector(1, 2));
    expect(weights.get('b')?.data[1]).toBeCloseTo(1 / 3, 3);
    expect(weights.get('b')?.dtype).toBe('float32');
  });

  it('ignores tensors that the graph does not name', () => {
    const extra = encodeSafetensors(new Map([['other', vector(1)]]));
    expect(loadPart(partsOf(model, []).graph, [...filesOf([]), extra])).toEqual(model);
  });

  it.each<[string, Weights, string]>([
    ['missing', new Map([['a', vector(1, 2)]]), "no weights file has the tensor 'b'"],
    [
      'of another shape',
      new Map([
        ['a', vector(1, 2)],
        ['b', vector(1, 2, 3)],
      ]),
      "tensor 'b' is float32 [3]",
    ],
    [
      'of another type',
      new Map<string, Tensor>([
        ['a', vector(1, 2)],
        ['b', tensor('int32', [2], new Int32Array(2))],
      ]),
      "tensor 'b' is int32 [2]",
    ],
  ])('is refused where a tensor is %s', (_, weights, message) => {
    expect(() => loadPart(partsOf(model, []).graph, [encodeSafetensors(weights)])).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_MALFORMED', message: expect.stringContaining(message) }),
    );
  });

  it('is refused where a file is cut off', () => {
    const { graph } = partsOf(model, []);
    const [file = new Uint8Array()] = filesOf([]);
    expect(() => loadPart(graph, [file.subarray(0, -1)])).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_MALFORMED' }),
    );
    expect(() => loadPart(graph.subarray(0, -3), [file])).toThrow(expect.objectContaining({ code: 'MODEL_MALFORMED' }));
  });

  it('cannot train what is no weight, and needs all weights to be stored', () => {
    expect(() => partsOf(model, ['x'])).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
    expect(() => partsOf({ ...model, weights: new Map() }, [])).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_MALFORMED' }),
    );
  });
});

describe('a merged pipeline', () => {
  it('is the tail alone, or the trunk and then the tail', () => {
    expect(mergePipeline(undefined, model)).toBe(model);
    const tail: Model = {
      graph: {
        name: 'tail',
        inputs: [{ name: 'y', dtype: 'float32', shape: ['n', 2] }],
        outputs: [{ name: 'z', dtype: 'float32', shape: ['n', 2] }],
        weights: [],
        nodes: [{ name: 'third', op: 'Relu', domain: '', inputs: ['y'], outputs: ['z'], attributes: {} }],
      },
      weights: new Map(),
    };
    const merged = mergePipeline(model, tail);
    expect(merged.graph.nodes.map(({ op }) => op)).toEqual(['Add', 'Add', 'Relu']);
    expect([merged.graph.inputs[0]?.name, merged.graph.outputs[0]?.name]).toEqual(['x', 'z']);
  });
});

describe('a batch', () => {
  it('stacks examples of one shape', () => {
    expect(stack([vector(1, 2), vector(3, 4)])).toEqual(tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4)));
    expect(() => stack([vector(1), vector(1, 2)])).toThrow(RangeError);
    expect(() => stack([])).toThrow(RangeError);
  });
});
