/** Texts: https://onnx.ai/onnx/operators/onnx__StringConcat.html and its kin. */
import { broadcastType } from '../broadcast.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intsOf } from '../site.js';

const row = (infer: Operator['infer']): Operator => operator({ infer, gradient: 'not differentiable' });

/** Stop words leave the list, so its length is known when it ran. */
function inferNormalizer(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const stops = site.node.attributes.stopwords;
  if (stops?.kind !== 'strings' || stops.value.length === 0) return [knownOf('string', shape)];
  return [knownOf('string', shape && [...shape.slice(0, -1), unknownSize(site.node.name, 'words')])];
}

/** One number for each n-gram of the pool that has an index. */
function inferCounts(site: Site): Known[] {
  const { shape } = inputOf(site, 0);
  const count = Math.max(-1, ...(intsOf(site.node, 'ngram_indexes') ?? [])) + 1;
  return [knownOf('float32', shape && [...shape.slice(0, -1), count])];
}

export const textOperators: OperatorRows = {
  RegexFullMatch: row((site) => [knownOf('bool', inputOf(site, 0).shape)]),
  StringConcat: row((site) => [broadcastType(site, [0, 1])]),
  StringNormalizer: row(inferNormalizer),
  StringSplit: row((site) => {
    const { shape } = inputOf(site, 0);
    return [knownOf('string', shape && [...shape, unknownSize(site.node.name, 'parts')]), knownOf('int64', shape)];
  }),
  TfIdfVectorizer: row(inferCounts),
};
