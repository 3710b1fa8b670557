/** Reverse-mode differentiation, graph to graph: https://arxiv.org/abs/1502.05767, section 3.2 */
import { namesRead } from '../graph/captures.js';
import type { Node } from '../graph/graph.js';
import type { GraphBuilder } from '../operators/graph-builder.js';
import { operatorOf } from '../operators/operator-table.js';
import { gradientMissing, notDifferentiable } from '../operators/site.js';
import type { TypeScope } from '../operators/type-scope.js';

export interface DifferentiateOptions {
  /** In topological order. */
  readonly nodes: readonly Node[];
  readonly scope: TypeScope;
  /** Gradients that are known: name of a value to name of the loss's gradient by it. */
  readonly seeds: ReadonlyMap<string, string>;
  /** Values whose gradients are asked for. */
  readonly wanted: readonly string[];
}

/**
 * Adds to `build` the nodes that compute the gradients by `wanted`, of the same shapes; a value that does not reach a seed has none.
 * Throws NOT_DIFFERENTIABLE where a node on the way has no gradient, GRADIENT_MISSING where nobody has written it yet.
 */
export function differentiate(options: DifferentiateOptions, build: GraphBuilder): Map<string, string> {
  const { nodes, scope, seeds, wanted } = options;
  const active = reachedFrom(wanted, nodes, scope);
  const parts = new Map([...seeds].map(([name, gradient]) => [name, [gradient]]));
  const gradients = new Map<string, string>();
  const settle = (name: string): string | undefined => {
    const terms = parts.get(name);
    if (name === '' || terms === undefined) return undefined;
    const known = gradients.get(name);
    const [first = ''] = terms;
    const sum = known ?? (terms.length === 1 ? first : build.add('Sum', terms));
    gradients.set(name, sum);
    return sum;
  };
  for (const node of nodes.toReversed()) {
    if (!namesRead(node).some((name) => active.has(name))) continue;
    const outputGradients = node.outputs.map(settle);
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    for (const [i, gradient] of gradientsOf(node, { outputGradients, active, scope }, build).entries()) {
      const name = node.inputs[i] ?? '';
      if (gradient === undefined || !active.has(name)) continue;
      const terms = parts.get(name);
      // A value may be read by every node of the graph: no copy of the list for each.
      if (terms === undefined) parts.set(name, [gradient]);
      else terms.push(gradient);
    }
  }
  const found = new Map(wanted.flatMap((name) => entry(name, settle(name))));
  for (const name of wanted) if (!found.has(name)) checkBlocked(name, options);
  return found;
}

function gradientsOf(
  node: Node,
  given: { outputGradients: readonly (string | undefined)[]; active: ReadonlySet<string>; scope: TypeScope },
  build: GraphBuilder,
): readonly (string | undefined)[] {
  const { gradient } = operatorOf(node);
  if (Object.values(node.attributes).some(({ kind }) => kind === 'graph')) {
    throw gradientMissing(
      node,
      'lies on the way from the loss to a trainable weight; gradients do not enter subgraphs',
    );
  }
  if (gradient === 'not differentiable') {
    throw notDifferentiable(node, 'lies on the way from the loss to a trainable weight and has no gradient');
  }
  if (gradient === 'not yet') {
    throw gradientMissing(node, 'lies on the way from the loss to a trainable weight; its gradient is not written yet');
  }
  const outputs = node.outputs.map((name) => (name === '' ? undefined : given.scope.of(name)));
  const wants = (index: number): boolean => given.active.has(node.inputs[index] ?? '');
  return gradient({ ...given.scope.siteOf(node), outputs, outputGradients: given.outputGradients, wants }, build);
}

/**
 * A value without a gradient may still reach a seed, through a node that makes whole numbers or truth values of it.
 * Throws NOT_DIFFERENTIABLE for the first such node; returns where there is no way at all.
 */
function checkBlocked(wanted: string, { nodes, scope, seeds }: DifferentiateOptions): void {
  const reached = new Set([wanted]);
  let blocking: Node | undefined;
  for (const node of nodes) {
    if (!namesRead(node).some((name) => reached.has(name))) continue;
    const outputs = node.outputs.filter((name) => name !== '');
    if (outputs.every((name) => !isReal(name, scope))) blocking ??= node;
    for (const name of outputs) reached.add(name);
  }
  if (blocking === undefined || ![...seeds.keys()].some((name) => reached.has(name))) return;
  throw notDifferentiable(blocking, `makes no real numbers of what '${wanted}' gives, so no gradient comes back to it`);
}

const isReal = (name: string, scope: TypeScope): boolean => scope.of(name).dtype.startsWith('float');

/** What depends on the wanted values, as far as it is made of real numbers. */
function reachedFrom(wanted: readonly string[], nodes: readonly Node[], scope: TypeScope): Set<string> {
  const active = new Set(wanted);
  for (const node of nodes) {
    if (!namesRead(node).some((name) => active.has(name))) continue;
    for (const output of node.outputs) {
      if (output !== '' && isReal(output, scope)) active.add(output);
    }
  }
  return active;
}

function entry(name: string, gradient: string | undefined): [string, string][] {
  return gradient === undefined ? [] : [[name, gradient]];
}
