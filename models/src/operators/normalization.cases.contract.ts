/** For specs: the cases of normalization whose gradients are compared, and their float64 references. */
import { make, mean, none, pick, rows, type Array64, type References } from './array64.contract.js';
import { positive, type GradientCase } from './central-differences.contract.js';
import type { Node } from '../graph/graph.js';
import { floatOf } from './site.js';

export const normalizationCases: readonly GradientCase[] = [
  { op: 'LayerNormalization', shapes: [[2, 3, 6], [6], [6]] },
  { op: 'BatchNormalization', shapes: [[1, 4, 4, 5], [4], [4], [4], [4]], range: positive, frozen: [3, 4] },
];

function layerNorm(node: Node, [x = none, scale = none, bias = none]: readonly (Array64 | undefined)[]): Array64 {
  const epsilon = floatOf(node, 'epsilon', 1e-5);
  return rows((values) => {
    const center = mean(values);
    const deviation = Math.sqrt(mean(values.map((each) => (each - center) ** 2)) + epsilon);
    return values.map((each, i) => ((each - center) / deviation) * (scale.data[i] ?? 1) + (bias.data[i] ?? 0));
  })(node, [x]);
}

export const normalizationReferences: References = {
  LayerNormalization: layerNorm,
  BatchNormalization: (node, [x = none, scale, bias, center, variance]) =>
    make(x.shape, (place) => {
      const c = place[1] ?? 0;
      const deviation = Math.sqrt((variance?.data[c] ?? 1) + floatOf(node, 'epsilon', 1e-5));
      return ((pick(x, place) - (center?.data[c] ?? 0)) / deviation) * (scale?.data[c] ?? 1) + (bias?.data[c] ?? 0);
    }),
};
