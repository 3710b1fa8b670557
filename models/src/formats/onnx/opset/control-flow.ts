/** Control flow. Its subgraphs are converted with it. */
import type { Attribute, Graph, Node, Value } from '../../../graph/graph.js';
import { attribute, cannotConvert } from './attributes.js';
import type { ConversionContext, Family } from './history.js';

export const controlFlow: Family = {
  If: { versions: [1, 11, 13, 16, 19, 21, 23, 24, 25] },
  Loop: { versions: [1, 11, 13, 16, 19, 21, 23, 24, 25] },
  Scan: { versions: [8, 9, 11, 16, 19, 21, 23, 24, 25], into: { 9: overBatch } },
};

/** Version 8 scanned each example of a batch: a scan over the batch around a scan over the steps. */
function overBatch(node: Node, context: ConversionContext): Node[] {
  const [lengths = '', ...inputs] = node.inputs;
  if (lengths !== '') throw cannotConvert(node, 'its examples have lengths of their own');
  const body = attribute(node, 'body', 'graph');
  const scanned = attribute(node, 'num_scan_inputs', 'int');
  if (body === undefined || scanned === undefined) throw cannotConvert(node, 'it has no body');
  const directions = attribute(node, 'directions', 'ints');
  const undeclared = (name: string): Value => ({ name: context.fresh(`${node.name}.${name}`), dtype: 'undefined' });
  const [given, made] = [inputs.map(undeclared), node.outputs.map((name, i) => undeclared(name || `output.${i}`))];
  const inner: Node = {
    ...node,
    name: `${node.name}.steps`,
    inputs: given.map(({ name }) => name),
    outputs: made.map(({ name }) => name),
    attributes: {
      body: { kind: 'graph', value: body },
      num_scan_inputs: { kind: 'int', value: scanned },
      ...(directions === undefined
        ? {}
        : { scan_input_directions: { kind: 'ints', value: directions } satisfies Attribute }),
    },
  };
  const batch: Graph = { name: `${node.name}.batch`, inputs: given, outputs: made, weights: [], nodes: [inner] };
  const attributes: Record<string, Attribute> = {
    body: { kind: 'graph', value: batch },
    num_scan_inputs: { kind: 'int', value: inputs.length },
  };
  return [{ ...node, inputs, attributes }];
}
