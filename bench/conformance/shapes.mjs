/**
 * The inferred types of the outputs against the real ones. Inputs of integers are told with their values, as constants are:
 * a shape that is computed from them can then be known. What the data decide may stay a symbol or unknown.
 */
import { inferShapes } from '@graft/models/operators/infer-shapes';

/** Operators whose output sizes are known only when they have run. */
const decidedByData = new Set(
  'Compress NonZero Unique NonMaxSuppression Loop Scan If StringNormalizer StringSplit ImageDecoder SequenceAt TfIdfVectorizer ConcatFromSequence'.split(
    ' ',
  ),
);

export function checkShapes(model, { feeds, outputs }) {
  const types = inferShapes(withIntegersKnown(model, feeds));
  const free = model.graph.nodes.some(({ op }) => decidedByData.has(op));
  for (const [name, { type, dims }] of Object.entries(outputs)) {
    const inferred = types.get(name);
    if (inferred === undefined) throw new Error(`'${name}' has no inferred type`);
    if (inferred.dtype !== type) throw new Error(`'${name}' is inferred as ${inferred.dtype}, it is ${type}`);
    const words = `'${name}' is inferred as [${inferred.shape?.join(', ')}], it is [${dims.join(', ')}]`;
    if (inferred.shape === undefined) {
      if (free) continue;
      throw new Error(words);
    }
    const fits = (size, axis) => size === dims[axis] || (typeof size === 'string' && free);
    if (inferred.shape.length !== dims.length || !inferred.shape.every(fits)) throw new Error(words);
  }
}

function withIntegersKnown({ graph, weights }, feeds) {
  const known = new Map(weights);
  const inputs = [];
  const added = [];
  for (const input of graph.inputs) {
    const feed = feeds[input.name];
    if (feed === undefined) {
      inputs.push(input);
      continue;
    }
    const value = { name: input.name, dtype: feed.type, shape: feed.dims };
    if (/^u?int|^bool|^float/.test(feed.type) && feed.data.length <= 256) {
      known.set(input.name, { dtype: feed.type, shape: feed.dims, data: feed.data });
      added.push(value);
    } else inputs.push(value);
  }
  return { graph: { ...graph, inputs, weights: [...graph.weights, ...added] }, weights: known };
}
