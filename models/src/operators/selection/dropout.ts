/** Dropout: https://onnx.ai/onnx/operators/onnx__Dropout.html */
import { castTo } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { resultsOf } from '../more-results.js';
import { movement, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, gradientMissing } from '../site.js';

function inferDropout(site: Site): Known[] {
  const known = inputOf(site, 0);
  const shape = known.shape && { shape: known.shape };
  return [drops(site) ? { dtype: known.dtype, ...shape } : known, { dtype: 'bool', ...shape }];
}

/** Whether elements are dropped; a flag that is computed may be true. */
function drops({ inputs: [, , training] }: Site): boolean {
  return training !== undefined && training.elements?.[0] !== 0;
}

/** At inference the identity; in training dy where the mask keeps, over 1 - ratio. */
function dropoutGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const { node } = site;
  if (dy === undefined || !drops(site)) return [dy];
  const stands = build.nodes.some(({ name, op }) => name === node.name && op === node.op);
  if (!stands && (node.outputs[1] ?? '') === '')
    throw gradientMissing(node, 'drops elements and does not return its mask');
  const mask = node.outputs[1] || (resultsOf(node, [1], { infer: inferDropout, build })[1] ?? '');
  const [, ratio = '', training = ''] = node.inputs;
  const given = ratio === '' ? build.scalar(0.5, dy) : castTo(ratio, build.typeOf(dy).dtype, build);
  const dropped = build.add('Mul', [given, castTo(training, build.typeOf(dy).dtype, build)]);
  const kept = build.add('Mul', [dy, castTo(mask, build.typeOf(dy).dtype, build)]);
  return [build.add('Div', [kept, build.add('Sub', [build.scalar(1, dy), dropped])])];
}

export const dropoutOperators: OperatorRows = {
  Dropout: movement({ infer: inferDropout, gradient: dropoutGradient }),
};
