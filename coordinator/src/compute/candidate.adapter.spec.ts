import { random } from '@graft/core/random';
import { tensor, zeros, type Tensor } from '@graft/core/tensor';
import { encodeGraph } from '@graft/models/formats/onnx/graph-file';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import type { Model, Node } from '@graft/models/graph/graph';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';
import { calibrationOutputs } from '@graft/models/quantize/plan';
import { collectRanges } from '@graft/models/quantize/collect-ranges';
import { withRanges } from '@graft/models/quantize/with-ranges';
import { onnxRuntime } from '@graft/models/runtime/onnxruntime.adapter';
import type { TensorRange } from '@graft/protos/messages';

import { createEvaluator } from './evaluate.adapter.js';
import { putPart, prepareRun } from './prepare.adapter.js';
import { quantizeCandidate, readPart } from './quantize.adapter.js';
import { blobDirectory } from './sealing.contract.js';

const blobs = blobDirectory();
const examples = 60;
const length = 8;
const classes = 3;
const chance = random(5);
const matrix = (rows: number, columns: number): Tensor<'float32'> =>
  tensor(
    'float32',
    [rows, columns],
    Float32Array.from({ length: rows * columns }, () => chance.normal() / 3),
  );
const inputs = tensor(
  'float32',
  [examples, length],
  Float32Array.from({ length: examples * length }, () => chance.normal()),
);

const node = (name: string, op: string, names: readonly string[], output: string): Node => ({
  name,
  op,
  domain: '',
  inputs: names,
  outputs: [output],
  attributes: {},
});

function modelOf(
  name: string,
  weights: ReadonlyMap<string, Tensor>,
  nodes: readonly Node[],
  sizes: readonly number[],
): Model {
  const [from = 0, to = 0] = sizes;
  return {
    graph: {
      name,
      inputs: [{ name: 'x', dtype: 'float32', shape: ['n', from] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['n', to] }],
      weights: [...weights].map(([weight, { dtype, shape }]) => ({ name: weight, dtype, shape })),
      nodes,
    },
    weights,
  };
}

const trunk = modelOf(
  'trunk',
  new Map([['t.w', matrix(length, 16)]]),
  [node('t', 'MatMul', ['x', 't.w'], 'h'), node('r', 'Relu', ['h'], 'y')],
  [length, 16],
);
const tail = modelOf(
  'tail',
  new Map<string, Tensor>([
    ['w', matrix(16, classes)],
    ['b', zeros('float32', [classes])],
  ]),
  [node('g', 'Gemm', ['x', 'w', 'b'], 'y')],
  [16, classes],
);

async function run(part: Part, feed: Tensor): Promise<Tensor> {
  const model = await readPart(part, blobs);
  const session = await onnxRuntime.load(model, { threads: 1, purpose: 'inference' });
  const fetches = await session.run({ x: feed });
  await session.dispose();
  const value = fetches.y;
  if (value === undefined) throw new Error('no output');
  return value;
}

async function rangesOf(model: Model, feed: Tensor): Promise<TensorRange[]> {
  const names = calibrationOutputs(model);
  const session = await onnxRuntime.load(withRanges(model, names), { threads: 1, purpose: 'inference' });
  const ranges = await collectRanges(session, names, [{ x: feed }]);
  await session.dispose();
  return [...ranges].map(([name, range]) => ({ name, ...range }));
}

async function pipelineOf(): Promise<Pipeline> {
  return {
    preprocessing: { kind: 'features', length },
    trunk: await putPart(trunk, [], blobs),
    tail: await putPart(tail, [], blobs),
    labels: ['a', 'b', 'c'],
  };
}

/** Labels that the fp32 model gets right in two cases of three. */
async function holdOutOf(pipeline: Pipeline): Promise<string> {
  const features = await run(pipeline.trunk ?? pipeline.tail, inputs);
  const logits = await run(pipeline.tail, features);
  const labels = Int32Array.from({ length: examples }, (_, i) => {
    const row = [...(logits.data as Float32Array).subarray(i * classes, (i + 1) * classes)];
    const best = row.indexOf(Math.max(...row));
    return i % 3 === 0 ? (best + 1) % classes : best;
  });
  const file = new Map<string, Tensor>([
    ['features', inputs],
    ['labels', tensor('int32', [examples], labels)],
  ]);
  return blobs.store(encodeSafetensors(file)).hash;
}

describe('a candidate', () => {
  it('is quantized from the ranges of the agents, its trunk once, and measured in both precisions', async () => {
    const pipeline = await pipelineOf();
    const features = await run(pipeline.trunk ?? pipeline.tail, inputs);
    const own = { trunk: await rangesOf(trunk, inputs), tail: await rangesOf(tail, features) };
    const wrong = { agentId: 'liar', trunk: [{ name: 'x', min: 1, max: -1 }], tail: [] };
    const { result, frozenTrunk } = await quantizeCandidate(
      { pipeline, ranges: [wrong, { agentId: 'a', ...own }, { agentId: 'b', ...own }] },
      blobs,
    );
    if (!('pipeline' in result)) throw new Error(result.none);
    expect(result.pipeline.trunk).toEqual(frozenTrunk);
    const again = await quantizeCandidate(
      { pipeline, ranges: [{ agentId: 'a', trunk: [], tail: own.tail }], ...(frozenTrunk && { frozenTrunk }) },
      blobs,
    );
    expect(again.result).toEqual(result);
    const holdOut = await holdOutOf(pipeline);
    const evaluator = createEvaluator(blobs);
    const measured = await evaluator.evaluate({ fp32: pipeline, int8: result.pipeline, holdOut });
    if (!('fp32' in measured)) throw new Error(measured.none);
    expect(measured.fp32).toMatchObject({ examples, correct: 40 });
    expect(measured.int8?.examples).toBe(examples);
    expect(Math.abs((measured.int8?.correct ?? 0) - 40)).toBeLessThanOrEqual(4);
    expect(measured.klSum).toBeGreaterThan(0);
    expect(measured.klSum / examples).toBeLessThan(0.01);
    expect(measured.fp32.latencyP50Ms).toBeLessThanOrEqual(measured.fp32.latencyP95Ms);
    const second = await evaluator.evaluate({ fp32: pipeline, int8: result.pipeline, holdOut });
    if (!('fp32' in second)) throw new Error(second.none);
    expect([second.fp32.correct, second.fp32.lossSum, second.klSum]).toEqual([
      measured.fp32.correct,
      measured.fp32.lossSum,
      measured.klSum,
    ]);
  });

  it('stays in fp32, with the reason, where no agent gave ranges', async () => {
    const pipeline = await pipelineOf();
    const { result } = await quantizeCandidate({ pipeline, ranges: [{ agentId: 'a', trunk: [], tail: [] }] }, blobs);
    expect(result).toEqual({ none: expect.stringContaining("no activation ranges to quantize 'trunk' with: agent a") });
  });

  it.each<[string, ReadonlyMap<string, Tensor>, string]>([
    ['has no labels', new Map([['features', inputs]]), "no int32 tensor 'labels'"],
    [
      'has a label that is no class',
      new Map<string, Tensor>([
        ['features', inputs],
        ['labels', tensor('int32', [examples], new Int32Array(examples).fill(7))],
      ]),
      'has label 7 at 0, the task has 3 classes',
    ],
    [
      'has fewer labels than examples',
      new Map<string, Tensor>([
        ['features', inputs],
        ['labels', tensor('int32', [1], Int32Array.of(0))],
      ]),
      'has 60 examples and 1 labels',
    ],
    [
      'has images where rows are asked for',
      new Map<string, Tensor>([['labels', tensor('int32', [1], Int32Array.of(0))]]),
      "'features'",
    ],
  ])('is not measured on a hold-out file that %s', async (_, file, text) => {
    const { hash } = blobs.store(encodeSafetensors(file));
    const evaluating = createEvaluator(blobs).evaluate({ fp32: await pipelineOf(), holdOut: hash });
    await expect(evaluating).rejects.toMatchObject({
      code: 'HOLD_OUT_INVALID',
      message: expect.stringContaining(text),
    });
  });
});

describe('a prepared task', () => {
  it('runs in ONNX Runtime as its two parts', async () => {
    const base = modelOf('base', trunk.weights, trunk.graph.nodes, [length, 16]);
    const card = {
      name: 'base',
      description: 'a test',
      source: 'here',
      license: 'Apache-2.0',
      input: 'x',
      features: [],
      preprocessing: { kind: 'features' as const, length },
    };
    const { material, base: start } = await prepareRun(
      {
        taskId: 't',
        seed: 1,
        task: {
          name: 't',
          kind: 'fit',
          model: 'base',
          features: 'y',
          labels: ['a', 'b', 'c'],
          scope: 'head',
          preprocessing: { kind: 'features', length },
          training: { loss: 'softmax-cross-entropy', optimizer: 'adam', learningRate: 0.1, epochs: 1, batchSize: 4 },
          rounds: 1,
          cohort: { min: 1, goal: 1, max: 1 },
          windowMs: 1000,
          gate: { margin: 0, worstSiteMargin: 0, int8Margin: 0 },
          limits: { maxExamples: 10, maxNormRatio: 10, quarantine: { refusals: 3, rounds: 5, forMs: 3_600_000 } },
          policy: { kind: 'synchronous' },
          selection: { tags: [], order: { kind: 'random' } },
          deadline: {},
        },
        model: {
          card,
          graph: blobs.store(encodeGraph(base.graph)),
          weights: blobs.store(encodeSafetensors(base.weights)),
        },
      },
      blobs,
    );
    if (material.kind !== 'fit') throw new Error('no pipeline');
    const { pipeline } = material;
    const file = new Map<string, Tensor>([
      ['features', inputs],
      ['labels', tensor('int32', [examples], new Int32Array(examples))],
    ]);
    const holdOut = blobs.store(encodeSafetensors(file)).hash;
    const fp32 = { ...pipeline, tail: { ...pipeline.tail, weights: [...pipeline.tail.weights, start.fp16] } };
    const measured = await createEvaluator(blobs).evaluate({ fp32, holdOut });
    expect(measured).toMatchObject({ fp32: { examples }, klSum: 0 });
  });
});
