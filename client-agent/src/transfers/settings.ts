/** The section `transfers` of agent.yaml: how much of the site's line the agent may use, and how. */
import { parseRate, rateForm } from '@graft/protos/transfer/rate';
import { z } from 'zod';

const rate = z.string().refine((text) => parseRate(text) !== undefined, { message: `expected ${rateForm}` });

export const transfersSchema = z.strictObject({
  /** Shared by all uploads of the agent; no limit where it is left out. */
  maxUpload: rate.exactOptional(),
  maxDownload: rate.exactOptional(),
  /**
   * Whether a checkpoint is fetched as the difference to an earlier one: 'auto' on lines where the bytes that it saves take
   * longer than unpacking.
   */
  deltas: z.enum(['auto', 'always', 'never']).default('auto'),
});

export type TransferSettings = z.infer<typeof transfersSchema>;

/** Unpacking runs at some 100 MB/s and saves about half of the bytes: it pays below half of that. */
const fastLineBytesPerS = 40_000_000;

/**
 * Whether to ask for a delta.
 * @param bytesPerS what downloads have run at, undefined where none has been measured
 */
export function wantsDelta({ deltas, maxDownload }: TransferSettings, bytesPerS: number | undefined): boolean {
  if (deltas !== 'auto') return deltas === 'always';
  const line = Math.min(
    bytesPerS ?? Infinity,
    maxDownload === undefined ? Infinity : (parseRate(maxDownload) ?? Infinity),
  );
  return line < fastLineBytesPerS;
}
