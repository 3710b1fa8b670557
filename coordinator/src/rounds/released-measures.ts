/** What the gate compares a candidate with, read back from a stored release. */
import { z } from 'zod';

import type { ReleasedMeasures } from './machine/state.js';

const measuredSchema = z.looseObject({ accuracy: z.number(), worstSiteAccuracy: z.number().optional() });
const decisionSchema = z.looseObject({ fp32: measuredSchema.optional(), int8: measuredSchema.optional() });

/** The measures of the precision that was released; undefined where nothing was measured. */
export function measuresOf(row: {
  readonly id: string;
  readonly precision: string;
  readonly measures: unknown;
}): ReleasedMeasures | undefined {
  const decision = decisionSchema.parse(row.measures);
  const own = row.precision === 'int8' ? decision.int8 : decision.fp32;
  if (own === undefined) return undefined;
  return {
    releaseId: row.id,
    accuracy: own.accuracy,
    ...(own.worstSiteAccuracy !== undefined && { worstSiteAccuracy: own.worstSiteAccuracy }),
  };
}
