/** Views of views read from the first: a Reshape costs no copy but a node's price, and a step of a deep network has hundreds. */
import { capturedBy } from '../../graph/captures.js';
import type { Node } from '../../graph/graph.js';
import type { GraphBuilder } from '../../operators/graph-builder.js';

/** Operators that give the elements of their first input in the same order. */
const views: ReadonlySet<string> = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity']);

/**
 * The nodes with each view of a view written as one Reshape of the value behind them, and without those that give that value's own shape.
 * Values whose shape is not known whole stay as they are, and so do `outputs` and what subgraphs read.
 * Views that nobody reads any more stay too, for liveNodes.
 */
export function foldReshapes(nodes: readonly Node[], outputs: ReadonlySet<string>, build: GraphBuilder): Node[] {
  const fixed = new Set([...outputs, ...nodes.flatMap(capturedBy)]);
  const sources = new Map<string, string>();
  const same = new Map<string, string>();
  return nodes.flatMap((original): Node[] => {
    const inputs = original.inputs.map((name) => same.get(name) ?? name);
    const node = inputs.some((name, i) => name !== original.inputs[i]) ? { ...original, inputs } : original;
    const [input = ''] = inputs;
    const [output = ''] = node.outputs;
    if (node.domain !== '' || !views.has(node.op)) return [node];
    const source = sources.get(input) ?? input;
    sources.set(output, source);
    const shape = wholeShape(output, build);
    if (shape === undefined) return [node];
    if (!fixed.has(output) && String(wholeShape(source, build)) === String(shape)) {
      same.set(output, source);
      return [];
    }
    if (source === input) return [node];
    return [{ ...node, op: 'Reshape', inputs: [source, build.ints(shape)], attributes: {} }];
  });
}

/** Undefined where a size is a symbol, or 0, which a Reshape would read as another size. */
function wholeShape(name: string, build: GraphBuilder): number[] | undefined {
  const { shape } = build.typeOf(name);
  const sizes = shape?.filter((size) => typeof size === 'number' && size > 0);
  return sizes?.length === shape?.length ? sizes?.map(Number) : undefined;
}
