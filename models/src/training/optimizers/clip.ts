/** Gradient clipping by global norm: Pascanu et al. 2013, https://arxiv.org/abs/1211.5063; torch.nn.utils.clip_grad_norm_. */
import { GraftError } from '@graft/core/error';

import type { GraphBuilder } from '../../operators/graph-builder.js';

/** Sum of all squares, a scalar. */
export function squaredNorm(vectors: readonly string[], build: GraphBuilder): string {
  const squares = vectors.map((vector) =>
    build.add('ReduceSum', [build.add('Mul', [vector, vector])], { keepdims: 0 }),
  );
  return squares.length === 1 ? (squares[0] ?? '') : build.add('Sum', squares);
}

/** Each vector times min(1, clipNorm / (norm + 1e-6)), as PyTorch has it. Throws MODEL_UNSUPPORTED for a norm that is not above zero. */
export function clipped(vectors: readonly string[], clipNorm: number, build: GraphBuilder): string[] {
  if (!(clipNorm > 0) || !Number.isFinite(clipNorm)) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      `gradients cannot be clipped to the norm ${clipNorm}; it must be above 0`,
    );
  }
  const norm = build.add('Sqrt', [squaredNorm(vectors, build)]);
  const over = build.add('Add', [norm, build.scalar(1e-6, norm)]);
  const factor = build.add('Min', [build.add('Div', [build.scalar(clipNorm, norm), over]), build.scalar(1, norm)]);
  return vectors.map((vector) => build.add('Mul', [vector, factor]));
}
