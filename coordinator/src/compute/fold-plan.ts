/**
 * The order in which the updates of a round are summed, fixed by their number alone, so that the sum has the same bits whoever
 * computes it and on however many machines: float64 addition does not associate.
 *
 * The updates stand in canonical order, by agent id. Up to `alone` of them are one group. More are cut into contiguous groups of
 * `group` (the last may be smaller). A group is summed from zero, update by update. Groups are leaves of a tree: `fanIn` neighbours
 * are summed from zero, in order, into one node of the next level, until one node is left.
 */
export interface FoldShape {
  readonly alone: number;
  readonly group: number;
  readonly fanIn: number;
}

export const foldShape: FoldShape = { alone: 64, group: 32, fanIn: 8 };

/** A node of the tree; its place is its index in the plan. Children stand before their parents, the root is last. */
export type FoldNode =
  /** Updates `from` up to, not including, `to`. */
  | { readonly kind: 'group'; readonly from: number; readonly to: number; readonly parent?: number }
  /** Places of the nodes that are summed, in order. */
  | { readonly kind: 'join'; readonly children: readonly number[]; readonly parent?: number };

/** @param count of updates, at least 1 */
export function foldPlan(count: number, { alone, group, fanIn }: FoldShape = foldShape): FoldNode[] {
  const size = count <= alone ? Math.max(1, count) : group;
  const nodes: FoldNode[] = [];
  for (let from = 0; from < count; from += size) nodes.push({ kind: 'group', from, to: Math.min(count, from + size) });
  for (let first = 0, end = nodes.length; end - first > 1;) {
    for (let at = first; at < end; at += fanIn) {
      const children = Array.from({ length: Math.min(fanIn, end - at) }, (_, i) => at + i);
      const parent = nodes.length;
      for (const child of children) nodes[child] = { ...(nodes[child] as FoldNode), parent };
      nodes.push({ kind: 'join', children });
    }
    [first, end] = [end, nodes.length];
  }
  return nodes;
}
