/** Folds of large cohorts that several replicas share. A port; a coordinator that is alone has none and folds by itself, to the same bits. */
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { FoldResult } from '../compute/aggregation.js';
import type { Lease } from './engine-store.js';

export interface SharedFold {
  readonly lease: Lease;
  readonly round: number;
  readonly attempt: number;
  /** In canonical order: by agent id. `round` is the one whose key an update is sealed to. */
  readonly updates: readonly {
    readonly agentId: string;
    readonly nonce: string;
    readonly round: number;
    readonly weight: number;
  }[];
  readonly base: BlobRef;
  readonly parameterCount: number;
}

export interface SharedFolds {
  /** Whether a fold of so many updates is shared. */
  takes(count: number): boolean;
  /** Throws AGGREGATION_FAILED where a part of it failed for good. The same fold again goes on where it was left. */
  fold(request: SharedFold): Promise<FoldResult>;
}
