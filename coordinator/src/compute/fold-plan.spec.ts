import { assert, integer, property, record } from 'fast-check';

import { foldPlan, foldShape, type FoldNode } from './fold-plan.js';

const shapes = record({
  alone: integer({ min: 1, max: 20 }),
  group: integer({ min: 1, max: 10 }),
  fanIn: integer({ min: 2, max: 6 }),
});

/** The updates under a node, in the order in which they are summed. */
function updatesOf(plan: readonly FoldNode[], place: number): number[] {
  const node = plan[place];
  if (node === undefined) throw new Error(`no node ${place}`);
  if (node.kind === 'join') return node.children.flatMap((child) => updatesOf(plan, child));
  return Array.from({ length: node.to - node.from }, (_, i) => node.from + i);
}

describe('the plan of a fold', () => {
  test('takes every update once, in canonical order, into one root that stands last', () => {
    assert(
      property(integer({ min: 1, max: 500 }), shapes, (count, shape) => {
        const plan = foldPlan(count, shape);
        expect(updatesOf(plan, plan.length - 1)).toEqual(Array.from({ length: count }, (_, i) => i));
        expect(plan.filter(({ parent }) => parent === undefined)).toHaveLength(1);
      }),
    );
  });

  test('puts children before their parents, no more of them than the fan-in, and groups no larger than the shape says', () => {
    assert(
      property(integer({ min: 1, max: 500 }), shapes, (count, shape) => {
        const largest = count <= shape.alone ? count : shape.group;
        for (const [place, node] of foldPlan(count, shape).entries()) {
          if (node.kind === 'group') expect(node.to - node.from).toBeLessThanOrEqual(largest);
          else {
            expect(node.children.length).toBeLessThanOrEqual(shape.fanIn);
            expect(Math.max(...node.children)).toBeLessThan(place);
          }
        }
      }),
    );
  });

  test('is one group for a small cohort', () => {
    expect(foldPlan(foldShape.alone)).toEqual([{ kind: 'group', from: 0, to: foldShape.alone }]);
    expect(foldPlan(foldShape.alone + 1)).toEqual([
      { kind: 'group', from: 0, to: 32, parent: 3 },
      { kind: 'group', from: 32, to: 64, parent: 3 },
      { kind: 'group', from: 64, to: 65, parent: 3 },
      { kind: 'join', children: [0, 1, 2] },
    ]);
  });
});
