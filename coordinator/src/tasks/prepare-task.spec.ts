import { tensor, zeros, type Tensor } from '@graft/core/tensor';
import { decodeSafetensors } from '@graft/models/formats/safetensors';
import type { Model, Node } from '@graft/models/graph/graph';
import { loadPart } from '@graft/models/pipeline/load-part';
import type { ModelCard } from '@graft/models/pipeline/model-card';
import { fitTaskSchema, type FitTask } from '@graft/models/pipeline/task-spec';

import { fitTaskFiles, probeTaskFiles } from './prepare-task.js';

const node = (name: string, op: string, inputs: string[], output: string): Node => ({
  name,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes: {},
});

/** x [n,3] -> Gemm a -> hard-swish-like arithmetic -> Gemm b -> features [n,2] -> Gemm old -> y */
function model(): Model {
  const weights = new Map<string, Tensor>([
    [
      'a.w',
      tensor(
        'float32',
        [3, 4],
        Float32Array.from({ length: 12 }, (_, i) => i / 10),
      ),
    ],
    ['a.b', zeros('float32', [4])],
    ['three', tensor('float32', [], Float32Array.of(3))],
    [
      'b.w',
      tensor(
        'float32',
        [4, 2],
        Float32Array.from({ length: 8 }, (_, i) => 1 - i / 10),
      ),
    ],
    ['old.w', zeros('float32', [2, 7])],
  ]);
  return {
    graph: {
      name: 'tiny',
      inputs: [{ name: 'x', dtype: 'float32', shape: ['n', 3] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['n', 7] }],
      weights: [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
      nodes: [
        node('a', 'Gemm', ['x', 'a.w', 'a.b'], 'h'),
        node('shift', 'Add', ['h', 'three'], 'shifted'),
        node('b', 'MatMul', ['shifted', 'b.w'], 'features'),
        node('old', 'MatMul', ['features', 'old.w'], 'y'),
      ],
    },
    weights,
  };
}

const card: ModelCard = {
  name: 'tiny',
  description: 'a test',
  source: 'here',
  license: 'Apache-2.0',
  input: 'x',
  features: [{ tensor: 'features', length: 2 }],
  preprocessing: { kind: 'features', length: 3 },
};

const spec = (scope: FitTask['scope'], change: Partial<FitTask> = {}): FitTask => ({
  ...fitTaskSchema.parse({
    name: 'task',
    kind: 'fit',
    model: 'tiny',
    features: 'features',
    labels: ['no', 'yes', 'maybe'],
    scope,
    preprocessing: { kind: 'features', length: 3 },
    training: { loss: 'softmax-cross-entropy', optimizer: 'sgd', learningRate: 0.1, epochs: 1, batchSize: 4 },
    rounds: 1,
    cohort: { min: 1, goal: 1, max: 1 },
    windowMs: 1000,
  }),
  ...change,
});

test("scope 'head' freezes everything up to the features and trains the new head alone", () => {
  const files = fitTaskFiles(spec('head'), card, model());
  const checkpoint = decodeSafetensors(files.weights).weights;
  expect([...checkpoint.keys()].sort()).toEqual(['head.bias', 'head.weight']);
  expect(files.parameterCount).toBe(3 * 2 + 3);
  const trunk = loadPart(files.trunk?.graph ?? new Uint8Array(), [files.trunk?.frozen ?? new Uint8Array()]);
  expect(trunk.graph.outputs.map(({ name }) => name)).toEqual(['features']);
  const tail = loadPart(files.tail?.graph ?? new Uint8Array(), [files.weights]);
  expect(tail.graph.inputs.map(({ name }) => name)).toEqual(['features']);
  expect(tail.graph.outputs).toEqual([expect.objectContaining({ name: 'logits', shape: [expect.anything(), 3] })]);
});

test("scope 'from:b' trains that node and the head, and not the constants of formulas", () => {
  const files = fitTaskFiles(spec('from:b'), card, model());
  expect([...decodeSafetensors(files.weights).weights.keys()].sort()).toEqual(['b.w', 'head.bias', 'head.weight']);
  const whole = fitTaskFiles(spec('from:a'), card, model());
  expect(whole.trunk).toBeUndefined();
  expect([...decodeSafetensors(whole.weights).weights.keys()].sort()).toEqual([
    'a.b',
    'a.w',
    'b.w',
    'head.bias',
    'head.weight',
  ]);
  expect([...decodeSafetensors(whole.tail?.frozen ?? new Uint8Array()).weights.keys()]).toEqual(['three']);
});

test('the same task gives the same files, and the fp16 checkpoint has the same tensors', () => {
  const [one, two] = [fitTaskFiles(spec('from:b'), card, model()), fitTaskFiles(spec('from:b'), card, model())];
  expect(one).toEqual(two);
  expect([...decodeSafetensors(one.fp16).weights.keys()]).toEqual([...decodeSafetensors(one.weights).weights.keys()]);
});

test.each([
  [spec('from:nowhere'), 'INVALID_REQUEST', 'nowhere'],
  [spec('head', { features: 'no-such-tensor' }), 'TENSOR_UNKNOWN', 'no-such-tensor'],
  [spec('head', { preprocessing: { kind: 'features', length: 5 } }), 'MODEL_UNSUPPORTED', '5'],
])('a task that does not fit its model is refused with a name', (task, code, named) => {
  expect(() => fitTaskFiles(task, card, model())).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(named) }),
  );
});

test('a probe has zeros of the size asked for', () => {
  const files = probeTaskFiles({
    name: 'p',
    kind: 'probe',
    parameters: 1000,
    add: 1,
    rounds: 1,
    cohort: { min: 1, goal: 1, max: 1 },
    windowMs: 1000,
    limits: { maxExamples: 1, maxNormRatio: 10 },
  });
  expect(files.parameterCount).toBe(1000);
  expect(decodeSafetensors(files.weights).weights.get('probe')?.data).toEqual(new Float32Array(1000));
  expect(files.fp16.byteLength).toBeLessThan(files.weights.byteLength);
});
