/** What the coordinator says of itself. */
import { z } from 'zod';

export const systemSchema = z
  .object({
    version: z.string(),
    protocol: z.object({ min: z.int(), max: z.int() }),
    pid: z.int(),
    startedAtMs: z.int(),
    uptimeMs: z.int(),
    peakRssBytes: z.int(),
    rssBytes: z.int(),
    eventLoopDelayP99Ms: z
      .number()
      .meta({ description: 'how much later than due the event loop turned, since the start' }),
    eventLoopDelayMaxMs: z.number(),
    bytesUp: z.int().meta({ description: 'blobs received from agents since the start' }),
    bytesDown: z.int().meta({ description: 'blobs sent to agents since the start' }),
    connectedAgents: z.int(),
    grpcAddress: z.string(),
    enrolAddress: z.string(),
    caFingerprint: z.string(),
  })
  .meta({ id: 'System' });

export type SystemReport = z.infer<typeof systemSchema>;

export interface Health {
  /** Throws UNAVAILABLE where the coordinator starts, stops, or cannot read its store. */
  ready(): Promise<void>;
}

export interface Metrics {
  readonly contentType: string;
  /** In the Prometheus text format. */
  readonly text: () => Promise<string>;
}
