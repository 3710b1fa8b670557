import { tensor, zeros, type Tensor } from '@graft/core/tensor';
import { decodeSafetensors, encodeSafetensors } from '@graft/models/formats/safetensors';
import { encodeGraph } from '@graft/models/formats/onnx/graph-file';
import type { Model, Node } from '@graft/models/graph/graph';
import type { BlobRef } from '@graft/models/pipeline/blob-ref';
import type { ModelCard } from '@graft/models/pipeline/model-card';
import { taskSpecSchema, type FitTask } from '@graft/models/pipeline/task-spec';

import type { Prepared } from './model-work.js';
import { prepareRun } from './prepare.adapter.js';
import { readPart } from './quantize.adapter.js';
import { blobDirectory } from './sealing.contract.js';
import { trainableNames } from './trainable.js';

const blobs = blobDirectory();
const node = (name: string, op: string, inputs: string[], output: string): Node => ({
  name,
  op,
  domain: '',
  inputs,
  outputs: [output],
  attributes: {},
});
const numbers = (shape: readonly number[]): Tensor =>
  tensor(
    'float32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 10),
  );

/** x [n, 3] -> Gemm a -> plus a constant 3 -> MatMul b -> features [n, 2] -> MatMul old -> y */
const weights = new Map<string, Tensor>([
  ['a.w', numbers([3, 4])],
  ['a.b', zeros('float32', [4])],
  ['three', tensor('float32', [], Float32Array.of(3))],
  ['b.w', numbers([4, 2])],
  ['old.w', zeros('float32', [2, 7])],
]);
const base: Model = {
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
const card: ModelCard = {
  name: 'tiny',
  description: 'a test',
  source: 'here',
  license: 'Apache-2.0',
  input: 'x',
  features: [{ tensor: 'features', length: 2 }],
  preprocessing: { kind: 'features', length: 3 },
};
const model = { card, graph: blobs.store(encodeGraph(base.graph)), weights: blobs.store(encodeSafetensors(weights)) };

function prepare(scope: string, change: Partial<FitTask> = {}): Promise<Prepared> {
  const spec = taskSpecSchema.parse({
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
    ...change,
  });
  return prepareRun({ taskId: 'task', seed: 1, task: spec, model }, blobs);
}

const namesIn = (hash: string): string[] => [...decodeSafetensors(blobs.read(hash)).weights.keys()].sort();

const text = (tokenizer: BlobRef) =>
  ({ kind: 'text', tokenizer, maxLength: 3, padId: 0, inputs: ['input_ids', 'attention_mask'] }) as const;
const noTokenizer = blobs.store(new TextEncoder().encode('{}'));

describe('preparing a run', () => {
  it("freezes everything up to the features in scope 'head' and trains the new head alone", async () => {
    const { material, base: start } = await prepare('head');
    if (material.kind !== 'fit' || material.pipeline.trunk === undefined) throw new Error('no trunk');
    expect(namesIn(start.weights.hash)).toEqual(['head.bias', 'head.weight']);
    expect(namesIn(start.fp16.hash)).toEqual(['head.bias', 'head.weight']);
    expect(material.parameterCount).toBe(3 * 2 + 3);
    const trunk = await readPart(material.pipeline.trunk, blobs);
    expect(trunk.graph.outputs.map(({ name }) => name)).toEqual(['features']);
    const { tail } = material.pipeline;
    const whole = await readPart({ ...tail, weights: [...tail.weights, start.fp16] }, blobs);
    expect(whole.graph.inputs.map(({ name }) => name)).toEqual(['features']);
    expect(whole.graph.outputs[0]?.shape?.[1]).toBe(3);
  });

  it("trains a node and all that follows in scope 'from:', but not the constants of formulas", async () => {
    const part = await prepare('from:b');
    expect(namesIn(part.base.weights.hash)).toEqual(['b.w', 'head.bias', 'head.weight']);
    const all = await prepare('from:a');
    if (all.material.kind !== 'fit') throw new Error('no pipeline');
    expect(all.material.pipeline.trunk).toBeUndefined();
    expect(namesIn(all.base.weights.hash)).toEqual(['a.b', 'a.w', 'b.w', 'head.bias', 'head.weight']);
    expect(namesIn(all.material.pipeline.tail.weights[0]?.hash ?? '')).toEqual(['three']);
  });

  it('gives the same files for the same seed', async () => {
    expect(await prepare('from:b')).toEqual(await prepare('from:b'));
  });

  it.each<[string, Partial<FitTask>, string, string]>([
    ['from:nowhere', {}, 'INVALID_REQUEST', "node 'nowhere'"],
    ['head', { features: 'nothing' }, 'TENSOR_UNKNOWN', 'nothing'],
    ['head', { preprocessing: { kind: 'features', length: 5 } }, 'MODEL_UNSUPPORTED', '5'],
    ['head', { preprocessing: text({ hash: 'a'.repeat(64), sizeBytes: 3 }) }, 'NOT_FOUND', 'is not among the blobs'],
    ['head', { preprocessing: text(noTokenizer) }, 'TOKENIZER_INVALID', 'cannot be used'],
    ['head', { preprocessing: text({ ...noTokenizer, sizeBytes: 3 }) }, 'TOKENIZER_INVALID', 'the task says 3'],
  ])('refuses scope %s with %p', async (scope, change, code, text) => {
    await expect(prepare(scope, change)).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  });

  it('gives a probe zeros of the size asked for', async () => {
    const spec = taskSpecSchema.parse({
      name: 'p',
      kind: 'probe',
      parameters: 1000,
      add: 1,
      rounds: 1,
      cohort: { min: 1, goal: 1, max: 1 },
      windowMs: 1000,
    });
    const { material, base: start } = await prepareRun({ taskId: 'p', seed: 1, task: spec }, blobs);
    expect(material).toMatchObject({ kind: 'probe', parameterCount: 1000, add: 1 });
    expect(decodeSafetensors(blobs.read(start.weights.hash)).weights.get('probe')?.data).toEqual(
      new Float32Array(1000),
    );
    expect(start.fp16.sizeBytes).toBeLessThan(start.weights.sizeBytes);
  });
});

describe('trainable weights', () => {
  it('are those that layers learn, without running statistics and bounds', () => {
    const names = ['w', 'scale', 'shift', 'mean', 'variance', 'bias', 'six'];
    const graph = {
      ...base.graph,
      weights: names.map((name) => ({ name, dtype: 'float32' as const, shape: name === 'six' ? [] : [4] })),
      nodes: [
        node('conv', 'Conv', ['x', 'w'], '1'),
        node('norm', 'BatchNormalization', ['1', 'scale', 'shift', 'mean', 'variance'], '2'),
        node('plus', 'Add', ['2', 'bias'], '3'),
        node('clip', 'Min', ['3', 'six'], '4'),
      ],
    };
    expect(trainableNames({ graph, weights: new Map() })).toEqual(['bias', 'scale', 'shift', 'w']);
  });
});
