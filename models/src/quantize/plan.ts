/**
 * Which nodes of a model run in 8 bits, and which values then need a scale. The plan depends on the graph and on the constants that
 * shape it (bounds of Clip, the 3 and 6 of hard-swish), not on trained weights, so that agents and coordinator agree on it.
 */
import type { Model, Node } from '../graph/graph.js';
import { Draft } from './draft.js';
import { foldConstants } from './fold.js';
import { activationsOf, roleOf, type Role } from './operators.js';

export interface QuantizationPlan {
  /** The folded model. */
  readonly model: Model;
  /** The role of each node that is quantized, by node name; the others stay in float32. */
  readonly roles: ReadonlyMap<string, Role>;
  /** Values that enter the 8-bit part from a float32 one. */
  readonly entries: readonly string[];
  /** Values made by quantized nodes that are rounded to 8 bits, in order. */
  readonly rounded: readonly string[];
  /** Those of both whose range must be measured: the others follow from it or are fixed. */
  readonly measured: readonly string[];
}

export function planQuantization(original: Model): QuantizationPlan {
  const model = foldConstants(original);
  const draft = new Draft(model);
  const roles = new Map<string, Role>();
  for (const node of draft.nodes()) {
    const role = roleOf(draft, node);
    if (role !== undefined) roles.set(node.name, role);
  }
  while (prune(draft, roles));
  const entries = new Set<string>();
  const rounded: string[] = [];
  const measured: string[] = [];
  for (const node of draft.nodes()) {
    const role = roles.get(node.name);
    const [output = ''] = node.outputs;
    if (role === undefined) continue;
    for (const input of activationsOf(draft, node)) {
      if (!isQuantized(draft, roles, input)) entries.add(input);
    }
    if (!isRounded(draft, roles, node)) continue;
    rounded.push(output);
    if (role !== 'gate' && role !== 'same') measured.push(output);
  }
  return { model, roles, entries: [...entries], rounded, measured: [...entries, ...measured] };
}

/**
 * The values whose range `quantizeModel` needs. They have these names in the model as it is and in its folded form.
 * Deterministic: the same graph gives the same names in the same order at every agent.
 */
export function calibrationOutputs(model: Model): readonly string[] {
  return planQuantization(model).measured;
}

/** Takes out nodes that 8 bits would not serve; returns whether there were any. */
function prune(draft: Draft, roles: Map<string, Role>): boolean {
  let changed = false;
  for (const node of draft.nodes()) {
    const role = roles.get(node.name);
    if (role === undefined || role === 'linear' || serves(draft, roles, node)) continue;
    roles.delete(node.name);
    changed = true;
  }
  return changed;
}

/** A node between quantized ones; at an edge of the 8-bit part rounding would cost accuracy and gain nothing. */
function serves(draft: Draft, roles: ReadonlyMap<string, Role>, node: Node): boolean {
  const inputs = activationsOf(draft, node);
  if (!inputs.every((input) => isQuantized(draft, roles, input))) return false;
  if (roles.get(node.name) === 'absorbed') {
    const before = roles.get(draft.maker(inputs[0] ?? '')?.name ?? '');
    return before === 'linear' || before === 'elementwise';
  }
  return draft.readers(node.outputs[0] ?? '').some(({ name }) => roles.has(name));
}

function isQuantized(draft: Draft, roles: ReadonlyMap<string, Role>, value: string): boolean {
  return roles.has(draft.maker(value)?.name ?? '');
}

/** Not rounded: what a Relu or Clip absorbs, and products that only float32 reads (Gemm and MatMul can give it, Conv cannot). */
function isRounded(draft: Draft, roles: ReadonlyMap<string, Role>, node: Node): boolean {
  const readers = draft.readers(node.outputs[0] ?? '').map(({ name }) => roles.get(name));
  if (readers.length === 1 && readers[0] === 'absorbed') return false;
  return node.op === 'Conv' || roles.get(node.name) !== 'linear' || readers.some((role) => role !== undefined);
}
