import { tensor } from '@graft/core/tensor';

import { GraphBuilder } from '../../operators/graph-builder.js';
import { TypeScope } from '../../operators/type-scope.js';
import { foldReshapes } from './fold-reshapes.js';

function builderWith(shape: readonly (number | string)[]): GraphBuilder {
  const scope = new TypeScope();
  scope.declare('x', { dtype: 'float32', shape });
  scope.declareTensor('c', tensor('bool', [], Uint8Array.of(1)));
  return new GraphBuilder(scope, 'n/');
}

const told = (build: GraphBuilder, outputs: readonly string[]): string[] =>
  foldReshapes(build.nodes, new Set(outputs), build).map(({ op, inputs, outputs: made }) => {
    const [first, ...rest] = inputs.map((name) => build.constants.get(name)?.data.join('x') ?? name);
    return `${made.join()} = ${op}(${[first, ...rest].join()})`;
  });

describe('folding views of views', () => {
  it('reads the value behind a chain of views once, in the last shape', () => {
    const build = builderWith([2, 3, 4]);
    const flat = build.add('Reshape', ['x', build.ints([6, 4])]);
    const one = build.add('Unsqueeze', [flat, build.ints([0])]);
    const last = build.add('Reshape', [one, build.ints([4, -1])]);
    const y = build.add('Neg', [last]);
    expect(told(build, [y]).slice(-2)).toEqual([`${last} = Reshape(x,4x6)`, `${y} = Neg(${last})`]);
  });

  it('drops a view that gives the shape the value had', () => {
    const build = builderWith([2, 3]);
    const flat = build.add('Flatten', ['x'], { axis: 0 });
    const back = build.add('Reshape', [flat, build.ints([2, 3])]);
    const y = build.add('Neg', [back]);
    expect(told(build, [y]).at(-1)).toBe(`${y} = Neg(x)`);
  });

  it('keeps outputs under their names', () => {
    const build = builderWith([6]);
    const same = build.add('Reshape', ['x', build.ints([6])]);
    expect(told(build, [same])).toEqual([`${same} = Reshape(x,6)`]);
  });

  it('keeps what has a free size, or none at all', () => {
    const free = builderWith(['batch', 3]);
    const open = free.add('Unsqueeze', [free.add('Unsqueeze', ['x', free.ints([0])]), free.ints([0])]);
    expect(told(free, [open]).at(-1)).toMatch(/= Unsqueeze\(n\/Unsqueeze/);
    const empty = builderWith([0, 3]);
    const view = empty.add('Unsqueeze', [empty.add('Unsqueeze', ['x', empty.ints([0])]), empty.ints([0])]);
    expect(told(empty, [view]).at(-1)).toMatch(/= Unsqueeze\(n\/Unsqueeze/);
  });

  it('keeps a value that a subgraph reads', () => {
    const build = builderWith([6]);
    const same = build.add('Reshape', ['x', build.ints([6])]);
    const neg = { name: 'z', op: 'Neg', domain: '', inputs: [same], outputs: ['z'], attributes: {} };
    const body = {
      name: 'then',
      inputs: [],
      outputs: [{ name: 'z', dtype: 'float32' as const }],
      weights: [],
      nodes: [neg],
    };
    build.keep({
      name: 'y',
      op: 'If',
      domain: '',
      inputs: ['c'],
      outputs: ['y'],
      attributes: { then_branch: { kind: 'graph', value: body }, else_branch: { kind: 'graph', value: body } },
    });
    expect(told(build, ['y'])[0]).toBe(`${same} = Reshape(x,6)`);
  });
});
