/** Values that are drawn. Only types have been added. */
import type { Family } from './history.js';

export const random: Family = {
  Bernoulli: { versions: [15, 22] },
  Multinomial: { versions: [7, 22] },
  RandomNormal: { versions: [1, 22] },
  RandomNormalLike: { versions: [1, 22] },
  RandomUniform: { versions: [1, 22] },
  RandomUniformLike: { versions: [1, 22] },
};
