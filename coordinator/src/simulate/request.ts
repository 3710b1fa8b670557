/** What a simulation is asked for: read from a file that the command line writes. */
import { z } from 'zod';

import { random, seedFrom } from '@graft/core/random';
import { roundPolicySchema } from '@graft/models/pipeline/schedule/round-policy';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';

import { builtInDevices, builtInTraces } from './devices/built-in-traces.js';
import type { Device } from './devices/device.js';
import { parseTrace } from './devices/trace-file.js';

export const simulationRequestSchema = z.strictObject({
  /** Virtual agents; absent for as many as the trace has devices. */
  agents: z.int().min(1).max(1_000_000).exactOptional(),
  seed: z.int().min(0),
  trace: z.union([z.strictObject({ builtIn: z.enum(builtInTraces) }), z.strictObject({ file: z.string() })]),
  task: taskSpecSchema,
  rounds: z.int().min(1),
  /** One simulation each, all of the same agents. */
  policies: z.array(roundPolicySchema).min(1),
  /** See Laboratory. */
  dataFile: z.string().exactOptional(),
  hidden: z.array(z.int().min(1)),
  alpha: z.number().positive(),
  processes: z.int().min(1).max(256),
  /** Scratch, removed by whoever asked. */
  directory: z.string(),
  longestMs: z.number().positive(),
});

export type SimulationRequest = z.infer<typeof simulationRequestSchema>;

/** Agents of a built-in trace that names no number. */
const usualAgents = 1000;

/**
 * The devices of all agents. Of a trace of one's own with fewer devices than agents some stand for several, drawn by the seed.
 * Throws TRACE_INVALID.
 */
export function devicesOf(
  { agents, trace, seed }: Pick<SimulationRequest, 'agents' | 'trace' | 'seed'>,
  traceText: string,
): Device[] {
  if ('builtIn' in trace) return builtInDevices(trace.builtIn, agents ?? usualAgents, seed);
  const known = parseTrace(traceText, trace.file);
  if (agents === undefined || agents === known.length) return known;
  const { shuffle, below } = random(seedFrom('trace', seed));
  if (agents < known.length) return shuffle(known).slice(0, agents);
  return Array.from({ length: agents }, (_, agent) => known[agent] ?? known[below(known.length)]).filter(
    (device) => device !== undefined,
  );
}
