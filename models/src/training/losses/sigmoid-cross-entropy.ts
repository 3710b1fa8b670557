/** Cross-entropy of classes that do not exclude each other: torch.nn.BCEWithLogitsLoss. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { countOf, total, type Loss, type LossSite } from './loss.js';

/** Mean of (1 - y) softplus(z) + w y softplus(-z); gradient ((1 - y) sigmoid(z) - w y sigmoid(-z)) / M, M elements. */
export function sigmoidCrossEntropy({ output: logits, targets }: LossSite, build: GraphBuilder): Loss {
  const labels = targets.labels ?? '';
  const weights = targets['class-weights'];
  const opposite = build.add('Neg', [logits]);
  const negative = build.add('Sub', [build.scalar(1, labels), labels]);
  const positive = weights === undefined ? labels : build.add('Mul', [labels, weights]);
  const both = (of: 'Softplus' | 'Sigmoid'): [string, string] => [
    build.add('Mul', [negative, build.add(of, [logits])]),
    build.add('Mul', [positive, build.add(of, [opposite])]),
  ];
  const count = countOf(logits, logits, build);
  return {
    loss: build.add('Div', [total(build.add('Add', both('Softplus')), build), count]),
    gradient: build.add('Div', [build.add('Sub', both('Sigmoid')), count]),
    count,
  };
}
