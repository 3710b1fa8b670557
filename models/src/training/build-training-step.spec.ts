import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { buildTrainingStep } from './build-training-step.js';
import { modelOf } from './gradient-graph.contract.js';

const float = (shape: readonly number[], ...data: number[]): Tensor<'float32'> =>
  tensor('float32', shape, Float32Array.from(data));

const weights = new Map([
  ['w', float([2, 3], 0.1, -0.2, 0.3, 0.2, 0.1, -0.1)],
  ['mean', float([2], 0, 0)],
  ['variance', float([2], 1, 1)],
  ['unused', float([1], 1)],
  ['trunk', float([2, 2], 1, 0, 0, 1)],
]);

function linear(change: (x: string, build: GraphBuilder) => string = (x) => x) {
  return modelOf(['batch', 2], weights, {
    output: 'logits',
    nodes: (build) => build.add('MatMul', [change('x', build), 'w']),
  });
}

const step = (model: Model, trainable: readonly string[]) => () =>
  buildTrainingStep(model, { trainable, loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } });

describe('a training step', () => {
  it('names a weight that the model does not have, or that does not reach the logits', () => {
    expect(step(linear(), ['v'])).toThrow(expect.objectContaining({ code: 'TENSOR_UNKNOWN' }));
    expect(step(linear(), ['unused'])).toThrow(/'unused' has no influence on the logits/);
  });

  it('names the node that has no gradient', () => {
    const hard = modelOf(['batch', 2], weights, {
      output: 'logits',
      nodes: (build) => build.add('Hardmax', [build.add('MatMul', ['x', 'w'])]),
    });
    expect(step(hard, ['w'])).toThrow(/\(Hardmax\) lies on the way from the loss/);
  });

  it('does not train running statistics', () => {
    const model = linear((x, build) => build.add('BatchNormalization', [x, 'variance', 'mean', 'mean', 'variance']));
    expect(step(model, ['variance'])).toThrow(/running statistics, which are constants/);
  });

  it('names an operator that is not in the table', () => {
    const { graph } = linear();
    const strange = {
      name: 'strange',
      op: 'NoSuchOperator',
      domain: '',
      inputs: ['x'],
      outputs: ['z'],
      attributes: {},
    };
    const model = { graph: { ...graph, nodes: [strange, ...graph.nodes] }, weights };
    expect(step(model, ['w'])).toThrow(/'strange' is a NoSuchOperator, which is not in the operator table/);
  });

  it('names an operator of a domain of its own', () => {
    const { graph } = linear();
    const strange = { name: 'own', op: 'Relu', domain: 'com.example', inputs: ['x'], outputs: ['z'], attributes: {} };
    const model = { graph: { ...graph, nodes: [strange, ...graph.nodes] }, weights };
    expect(step(model, ['w'])).toThrow(/'own' is a com.example.Relu, which is not in the operator table/);
  });

  it('names the node whose subgraph stands between the loss and a weight', () => {
    const { graph } = linear();
    const inner = { name: 'inner', inputs: [], weights: [], outputs: [{ name: 'z', dtype: 'float32' }] } as const;
    const branch = (op: string) => {
      const nodes = [{ name: 'z', op, domain: '', inputs: ['hidden'], outputs: ['z'], attributes: {} }];
      return { kind: 'graph', value: { ...inner, nodes } } as const;
    };
    const attributes = { then_branch: branch('Neg'), else_branch: branch('Relu') };
    const nodes = [
      { name: 'hidden', op: 'MatMul', domain: '', inputs: ['x', 'w'], outputs: ['hidden'], attributes: {} },
      { name: 'choice', op: 'If', domain: '', inputs: ['condition'], outputs: ['logits'], attributes },
    ];
    const model = {
      graph: { ...graph, nodes, weights: [...graph.weights, { name: 'condition', dtype: 'bool', shape: [] } as const] },
      weights: new Map<string, Tensor>([...weights, ['condition', tensor('bool', [], Uint8Array.of(1))]]),
    };
    expect(step(model, ['w'])).toThrow(
      expect.objectContaining({
        code: 'GRADIENT_MISSING',
        message: expect.stringMatching(/node 'choice' \(If\).* gradients do not enter subgraphs/) as string,
      }) as Error,
    );
  });

  it('names the node that makes whole numbers on the only way to a weight', () => {
    const model = modelOf(['batch', 2], weights, {
      output: 'logits',
      nodes: (build) => build.add('Cast', [build.add('Cast', [build.add('MatMul', ['x', 'w'])], { to: 6 })], { to: 1 }),
    });
    expect(step(model, ['w'])).toThrow(/\(Cast\) makes no real numbers of what 'w' gives/);
  });

  it('needs the shapes of its inputs, which the caller may give', () => {
    const { graph } = linear();
    const model = { graph: { ...graph, inputs: [{ name: 'x', dtype: 'float32' } as const] }, weights };
    const options = { trainable: ['w'], loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } } as const;
    expect(() => buildTrainingStep(model, options)).toThrow(/needs the shape of 'x', which is not known/);
    expect(buildTrainingStep(model, { ...options, inputShapes: { x: ['batch', 2] } }).inputs[0]?.shape).toEqual([
      'batch',
      2,
    ]);
  });

  it('takes the output that it is told, or the only one', () => {
    const two = linear();
    const graph = { ...two.graph, outputs: [...two.graph.outputs, { name: 'x', dtype: 'float32' } as const] };
    const options = { trainable: ['w'], loss: 'softmax-cross-entropy', optimizer: { kind: 'sgd' } } as const;
    expect(() => buildTrainingStep({ graph, weights }, { ...options, output: 'y' })).toThrow(
      /needs the output 'y'; the model has 'logits', 'x'/,
    );
    expect(buildTrainingStep({ graph, weights }, options).targets[0]?.of).toBe('logits');
  });

  it('refuses an output that is not float32, and to train nothing', () => {
    const whole = modelOf(['batch', 2], weights, {
      output: 'logits',
      nodes: (build) => build.add('Cast', [build.add('MatMul', ['x', 'w'])], { to: 6 }),
    });
    expect(step(whole, ['w'])).toThrow(/'logits' is int32; a loss needs float32/);
    expect(step(linear(), [])).toThrow(/no weight is to be trained/);
  });

  it('takes several inputs, and tells their shapes', () => {
    const model = linear();
    const second = { name: 'more', dtype: 'float32', shape: ['batch', 3] } as const;
    const sum = { name: 'sum', op: 'Add', domain: '', inputs: ['first', 'more'], outputs: ['logits'], attributes: {} };
    const nodes = model.graph.nodes.map((node) => ({
      ...node,
      outputs: node.outputs.map((name) => (name === 'logits' ? 'first' : name)),
    }));
    const graph = { ...model.graph, inputs: [...model.graph.inputs, second], nodes: [...nodes, sum] };
    const { inputs } = step({ graph, weights }, ['w'])();
    expect(inputs).toEqual([{ name: 'x', dtype: 'float32', shape: ['batch', 2] }, second]);
  });

  it('keeps no node that nothing needs, and computes equal ones once', () => {
    const model = linear((x, build) => {
      build.add('Exp', [x]);
      return build.add('Add', [build.add('Tanh', [x]), build.add('Tanh', [x])]);
    });
    const ops = step(model, ['w'])().graph.nodes.map(({ op }) => op);
    expect(ops.filter((op) => op === 'Tanh')).toHaveLength(1);
    const { nodes, outputs } = step(model, ['w'])().graph;
    const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...outputs.map(({ name }) => name)]);
    expect(nodes.filter((node) => !node.outputs.some((name) => read.has(name)))).toEqual([]);
  });

  it('has a seed only where something is dropped', () => {
    const options = {
      trainable: ['w'],
      loss: 'softmax-cross-entropy',
      optimizer: { kind: 'sgd' },
      dropout: {},
    } as const;
    const dropping = linear((x, build) => build.add('Dropout', [x]));
    expect(buildTrainingStep(dropping, options).scalars.seed).toBe('train/seed');
    expect(buildTrainingStep(linear(), options).scalars.seed).toBeUndefined();
    const { dropout: _, ...without } = options;
    expect(buildTrainingStep(dropping, without).scalars.seed).toBeUndefined();
  });

  it('holds an old head to what it said before, while a new one is trained', () => {
    const old = float([2, 4], ...Array<number>(8).fill(0.1));
    const model = linear((x, build) => build.add('MatMul', [x, 'trunk']));
    const trunk = model.graph.nodes[0]?.outputs[0] ?? '';
    const head = { name: 'old', op: 'MatMul', domain: '', inputs: [trunk, 'old.w'], outputs: ['old'], attributes: {} };
    const more = new Map<string, Tensor>([...model.weights, ['old.w', old]]);
    const graph = {
      ...model.graph,
      nodes: [...model.graph.nodes, head],
      outputs: [...model.graph.outputs, { name: 'old', dtype: 'float32' } as const],
      weights: [...model.graph.weights, { name: 'old.w', dtype: 'float32', shape: [2, 4] } as const],
    };
    const { targets, scalars } = buildTrainingStep(
      { graph, weights: more },
      {
        trainable: ['trunk', 'w', 'old.w'],
        loss: 'softmax-cross-entropy',
        optimizer: { kind: 'sgd' },
        regularizers: [{ kind: 'learning-without-forgetting', output: 'old' }],
      },
    );
    expect(targets.map(({ role, of, shape }) => [role, of, shape])).toEqual([
      ['labels', 'logits', ['batch']],
      ['teacher', 'old', ['batch', 4]],
    ]);
    expect(Object.keys(scalars).sort()).toEqual(['distillation', 'rate']);
  });
});
