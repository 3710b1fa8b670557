/** The door: an ONNX file of opset 1 to 26 becomes a model of the internal opset, checked and in order, or a typed error. */
import { GraftError } from '@graft/core/error';

import type { Attribute, Graph, Model, Node } from '../../graph/graph.js';
import { topologicalOrder } from '../../graph/topological-order.js';
import { validateGraph } from '../../graph/validate.js';
import { decodeModelProto, integer, type ModelProto } from './onnx-schema.js';
import { convertOpset } from './opset/convert-opset.js';
import { inlineFunctions } from './inline-functions.js';
import { readGraph } from './read-graph.js';

/**
 * Weights are views into `bytes` where they are aligned there.
 * Throws MODEL_MALFORMED, MODEL_TOO_LARGE or MODEL_UNSUPPORTED; the message names the node or tensor.
 */
export function importOnnx(bytes: Uint8Array): Model {
  const proto = decodeModelProto(bytes);
  const opsets = opsetsOf(proto);
  if (proto.graph === undefined || proto.graph === null)
    throw new GraftError('MODEL_MALFORMED', 'the file has no graph');
  if ((proto.trainingInfo?.length ?? 0) > 0)
    throw new GraftError('MODEL_UNSUPPORTED', 'the model carries training graphs');
  const { graph, weights } = readGraph(inlineFunctions(proto, proto.graph, opsets));
  const converted = convertOpset({ ...graph, nodes: ordered(graph.nodes) }, weights, opsets);
  const result: Graph = {
    ...converted,
    weights: [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  };
  validateGraph(result);
  return { graph: result, weights };
}

/** The version of each domain; a file without nodes of the default domain need not name that. */
function opsetsOf(proto: ModelProto): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of proto.opsetImport ?? []) {
    const name = domain === 'ai.onnx' ? '' : (domain ?? '');
    if (opsets.has(name)) {
      throw new GraftError('MODEL_MALFORMED', `the file names two versions of the operators of '${name || 'ai.onnx'}'`);
    }
    opsets.set(name, integer(version, 'the opset'));
  }
  if (opsets.size === 0) throw new GraftError('MODEL_MALFORMED', 'the file names no version of the ONNX operators');
  return opsets;
}

/** Orders the nodes of the graph and of every subgraph. */
function ordered(nodes: readonly Node[]): Node[] {
  const withInner = nodes.map((node) => {
    const attributes = Object.entries(node.attributes).map(([name, value]): [string, Attribute] =>
      value.kind === 'graph'
        ? [name, { kind: 'graph', value: { ...value.value, nodes: ordered(value.value.nodes) } }]
        : [name, value],
    );
    return { ...node, attributes: Object.fromEntries(attributes) };
  });
  return topologicalOrder(withInner);
}
