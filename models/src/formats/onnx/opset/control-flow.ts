/** Control flow. Its subgraphs are converted with it. */
import type { Node } from '../../../graph/graph.js';
import { cannotConvert } from './attributes.js';
import type { Family } from './history.js';

export const controlFlow: Family = {
  If: { versions: [1, 11, 13, 16, 19, 21, 23, 24] },
  Loop: { versions: [1, 11, 13, 16, 19, 21, 23, 24] },
  Scan: { versions: [8, 9, 11, 16, 19, 21, 23, 24], into: { 9: batched } },
};

function batched(node: Node): Node[] {
  throw cannotConvert(node, 'version 8 scanned over batches and was replaced in opset 9');
}
