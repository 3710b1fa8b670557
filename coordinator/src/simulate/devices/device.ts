/**
 * A device as a trace describes it. The fields are those of FedScale's traces (Lai, Dai, Singapuram, Liu, Zhu, Madhyastha,
 * Chowdhury, "FedScale: Benchmarking Model and System Performance of Federated Learning at Scale", ICML 2022): speed of
 * training, bandwidth, and when it is available.
 */
import { z } from 'zod';

export const hoursOfDay = 24;

const rate = z.number().positive().finite();

export const deviceSchema = z.strictObject({
  /** Hours east of UTC. */
  timeZoneHours: z.number().min(-12).max(14).default(0),
  /** How many examples it trains on in a second. */
  examplesPerSecond: rate,
  downBytesPerSecond: rate,
  upBytesPerSecond: rate,
  /** Chance that it drops out in the middle of a piece of work, which is lost. */
  dropOut: z.number().min(0).lt(1).default(0),
  /** Chance of being connected, by local hour from midnight. */
  availability: z.array(z.number().min(0).max(1)).length(hoursOfDay, `one number for each of ${hoursOfDay} hours`),
  /** Labelled examples that it holds. */
  exampleCount: z.int().min(2).max(100_000),
});

export type Device = z.infer<typeof deviceSchema>;
