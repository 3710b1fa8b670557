/** Dynamic loss scaling for float16: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, section 3.2. */
import type { GraphBuilder } from '../../operators/graph-builder.js';
import { squaredNorm } from './clip.js';

export interface LossScale {
  readonly scale: number;
  /** Steps since the scale last changed. */
  readonly steady: number;
}

/** torch.amp.GradScaler's constants. */
const growthInterval = 2000;
const largestScale = 2 ** 24;

export const initialLossScale: LossScale = { scale: 2 ** 16, steady: 0 };

/** Half of it after a step whose gradients were not finite, double after 2000 that were; it stays in [1, 2^24]. */
export function nextLossScale({ scale, steady }: LossScale, finite: boolean): LossScale {
  if (!finite) return { scale: Math.max(1, scale / 2), steady: 0 };
  if (steady + 1 < growthInterval) return { scale, steady: steady + 1 };
  return { scale: Math.min(largestScale, scale * 2), steady: 0 };
}

/** Gradients of the loss from those of the scaled loss. */
export function unscaled(vectors: readonly string[], scale: string, build: GraphBuilder): string[] {
  const inverse = build.add('Div', [build.scalar(1, scale), scale]);
  return vectors.map((vector) => build.add('Mul', [vector, inverse]));
}

/** Bool scalar: whether the sum of all squares is a finite float32. */
export function allFinite(vectors: readonly string[], build: GraphBuilder): string {
  const norm = squaredNorm(vectors, build);
  return build.add('Less', [norm, build.scalar(3.4e38, norm)]);
}
