/** Runs and rounds as the admin API takes and shows them. */
import { z } from 'zod';

import { phases } from '../rounds/machine/state.js';

const waitingSchema = z.object({
  for: z.string().meta({ description: 'what the phase does or waits for' }),
  endedBy: z.string(),
  untilMs: z.int().optional().meta({ description: 'the deadline that ends it, unless progress moves it' }),
});

export const startRunSchema = z
  .strictObject({
    /** Id or name of the task. */
    taskId: z.string().min(1).max(64),
    rounds: z.int().min(1).max(1_000_000).optional(),
    seed: z.int().min(0).max(0xffff_ffff).default(1),
  })
  .meta({ id: 'StartRun' });

export const stopRunSchema = z
  .strictObject({ reason: z.string().min(1).max(500).default('stopped by the operator') })
  .meta({ id: 'StopRun' });

export const runViewSchema = z
  .object({
    id: z.string(),
    taskId: z.string(),
    taskName: z.string(),
    status: z.enum(['running', 'waiting', 'completed', 'failed', 'stopped']),
    reason: z.string().meta({ description: 'why it waits, failed or was stopped; empty while it runs' }),
    round: z.int().meta({ description: 'the round in hand, or the last' }),
    rounds: z.int(),
    phase: z.enum(phases),
    seed: z.int(),
    committedRounds: z.int(),
    createdAtMs: z.int(),
    updatedAtMs: z.int(),
    finishedAtMs: z.int().optional(),
    attempt: z.int().meta({ description: 'which try at the round it is' }),
    attempts: z.int().meta({ description: 'tries that a round has' }),
    phaseStartedAtMs: z.int(),
    waiting: waitingSchema.optional().meta({ description: 'absent where the run is over' }),
    cohort: z
      .object({ min: z.int(), goal: z.int(), max: z.int() })
      .meta({ description: 'updates that a round needs and wants, agents that it asks' }),
    connected: z.int().meta({ description: 'agents that the run sees' }),
    quarantined: z
      .array(z.object({ agentId: z.string(), name: z.string(), reason: z.string(), untilMs: z.int() }))
      .optional()
      .meta({ description: 'agents that it sees and does not ask, because their updates were refused' }),
  })
  .meta({ id: 'Run' });

/** The record is the engine's (rounds/machine/record.ts). */
export const roundViewSchema = z
  .object({
    runId: z.string(),
    round: z.int(),
    phase: z.enum(phases),
    startedAtMs: z.int(),
    finishedAtMs: z.int().optional(),
    record: z.looseObject({}).meta({ description: 'per agent detail, refusals, gate, bytes and seconds by phase' }),
  })
  .meta({ id: 'Round' });

/** What is known of an agent beside its record: its name, and what it said last, where it works on this round. */
const roundAgentSchema = z.object({
  id: z.string(),
  name: z.string(),
  connected: z.boolean(),
  activity: z.string().optional(),
  progress: z.number().optional().meta({ description: 'of the activity, 0 to 1' }),
  loss: z.number().optional().meta({ description: 'while it trains' }),
  saidAtMs: z.int().optional(),
});

export const roundDetailSchema = roundViewSchema
  .extend({ agents: z.array(roundAgentSchema) })
  .meta({ id: 'RoundDetail' });

export const checkpointViewSchema = z
  .object({
    runId: z.string(),
    round: z.int(),
    weightsHash: z.string().meta({ description: 'sha256 of the safetensors file with the master weights, fp32' }),
    fp16Hash: z.string().meta({ description: 'sha256 of the file that agents get' }),
    createdAtMs: z.int(),
  })
  .meta({ id: 'Checkpoint' });

export type StartRun = z.infer<typeof startRunSchema>;
export type RunView = z.infer<typeof runViewSchema>;
export type RoundView = z.infer<typeof roundViewSchema>;
export type RoundDetail = z.infer<typeof roundDetailSchema>;
export type RoundAgent = z.infer<typeof roundAgentSchema>;
export type CheckpointView = z.infer<typeof checkpointViewSchema>;
