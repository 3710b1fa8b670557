/** Common subexpressions computed once: two nodes of the same operator, attributes and inputs have the same results. */
import { capturedBy } from '../../graph/captures.js';
import type { Attribute, Node } from '../../graph/graph.js';

/** Operators that differ from run to run, or write over what they read. */
const unequal: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
  'Dropout',
  'BatchNormalization',
]);

/** The nodes without repetitions, in order; those that make one of `outputs`, or a value that a subgraph reads, stay under their names. */
export function shareNodes(nodes: readonly Node[], outputs: ReadonlySet<string>): Node[] {
  const first = new Map<string, Node>();
  const renamed = new Map<string, string>();
  const fixed = new Set([...outputs, ...nodes.flatMap(capturedBy)]);
  return nodes.flatMap((original): Node[] => {
    const inputs = original.inputs.map((name) => renamed.get(name) ?? name);
    const node = inputs.some((name, i) => name !== original.inputs[i]) ? { ...original, inputs } : original;
    const key = keyOf(node);
    const known = key === undefined ? undefined : first.get(key);
    if (key !== undefined && known === undefined) first.set(key, node);
    if (known === undefined || node.outputs.some((name) => fixed.has(name))) return [node];
    for (const [i, name] of node.outputs.entries()) renamed.set(name, known.outputs[i] ?? '');
    return [];
  });
}

/** Undefined for nodes that are not shared. */
function keyOf({ op, domain, inputs, outputs, attributes }: Node): string | undefined {
  if (unequal.has(op)) return undefined;
  const settings: [string, string][] = [];
  for (const [name, attribute] of Object.entries(attributes)) {
    const text = textOf(attribute);
    if (text === undefined) return undefined;
    settings.push([name, text]);
  }
  settings.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([op, domain, inputs, outputs.map((name) => name !== ''), settings]);
}

function textOf({ kind, value }: Attribute): string | undefined {
  if (typeof value === 'number' || typeof value === 'string') return `${kind} ${value}`;
  return Array.isArray(value) ? `${kind} ${value.join('\n')}` : undefined;
}
