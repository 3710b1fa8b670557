/** status.json: what the daemon is doing, for `graft-agent status` and for whoever started it. A pure fold over events. */
import { z } from 'zod';

import type { Progress } from '../trainer/trainer-calls.js';
import type { DaemonEvent } from './daemon-events.js';

/** Rounds that are shown; the log of what was sent has them all. */
const shownRounds = 20;

const jobSchema = z.object({
  kind: z.string(),
  run: z.string(),
  round: z.number(),
  activity: z.string().optional(),
  progress: z.number().optional(),
  step: z.number().optional(),
  steps: z.number().optional(),
  loss: z.number().optional(),
  examplesPerSecond: z.number().optional(),
  remainingMs: z.number().optional(),
});

const roundSchema = z.object({
  run: z.string(),
  round: z.number(),
  update: z.object({ examples: z.number(), loss: z.number(), bytes: z.number(), outcome: z.string() }).optional(),
  evaluation: z
    .object({ examples: z.number(), fp32: z.number(), int8: z.number().optional(), outcome: z.string() })
    .optional(),
  failure: z.string().optional(),
});

export const agentStatusSchema = z.object({
  /** Process id; compare it with the processes that run. */
  pid: z.number(),
  version: z.string(),
  agentId: z.string(),
  agentName: z.string(),
  server: z.string(),
  state: z.enum(['connecting', 'connected', 'retrying', 'stopped']),
  /** When the state was entered, milliseconds since the epoch. */
  sinceMs: z.number(),
  startedAtMs: z.number(),
  /** Why it is not connected, or why it stopped. */
  cause: z.string().optional(),
  attempt: z.number().optional(),
  coordinatorVersion: z.string().optional(),
  clockSkewMs: z.number().optional(),
  data: z.object({ training: z.number(), heldOut: z.number(), skipped: z.number() }).optional(),
  dataProblem: z.string().optional(),
  jobs: z.array(jobSchema),
  /** Newest last. */
  rounds: z.array(roundSchema),
  release: z.object({ id: z.string(), run: z.string(), round: z.number(), precision: z.string() }).optional(),
});

export type AgentStatus = z.infer<typeof agentStatusSchema>;
type RoundStatus = z.infer<typeof roundSchema>;

/** The status after an event. */
export function withEvent(status: AgentStatus, event: DaemonEvent, atMs: number): AgentStatus {
  switch (event.event) {
    case 'connected': {
      const { cause: _, attempt: __, ...rest } = status;
      const { coordinator: coordinatorVersion, skewMs: clockSkewMs } = event;
      return { ...rest, state: 'connected', sinceMs: atMs, coordinatorVersion, clockSkewMs };
    }
    case 'disconnected': {
      const sinceMs = status.state === 'retrying' ? status.sinceMs : atMs;
      return { ...status, state: 'retrying', sinceMs, cause: event.cause, attempt: event.attempt };
    }
    case 'data': {
      const { dataProblem: _, ...rest } = status;
      const { training, heldOut, skipped } = event;
      return { ...rest, data: { training, heldOut, skipped } };
    }
    case 'data-problem':
      return { ...status, dataProblem: event.message };
    case 'working': {
      const { kind, run, round } = event;
      return { ...status, jobs: [...withoutJob(status, event), { kind, run, round }] };
    }
    case 'progress':
      return {
        ...status,
        jobs: status.jobs.map((job) =>
          job.run === event.run && job.round === event.round
            ? { kind: job.kind, run: job.run, round: job.round, ...standing(event) }
            : job,
        ),
      };
    case 'update-sent': {
      const { examples, loss, bytes } = event;
      return inRound(status, event, { update: { examples, loss, bytes, outcome: outcome(event) } });
    }
    case 'evaluation-sent': {
      const { examples, accuracyFp32: fp32, accuracyInt8: int8 } = event;
      return inRound(status, event, {
        evaluation: { examples, fp32, ...(int8 === undefined ? {} : { int8 }), outcome: outcome(event) },
      });
    }
    case 'failed':
      return inRound(status, event, { failure: `${event.code}: ${event.message}` });
    case 'cancelled':
      return { ...status, jobs: withoutJob(status, event) };
    case 'installed': {
      const { release: id, run, round, precision } = event;
      return { ...status, release: { id, run, round, precision } };
    }
    case 'done':
      return { ...status, jobs: status.jobs.filter((job) => job.kind !== event.kind) };
    case 'drained':
    case 'log-problem':
    case 'delivery-problem':
      return status;
    default:
      return { ...status, state: 'stopped', sinceMs: atMs, cause: event.reason, jobs: [] };
  }
}

/** Where the job stands now; nothing of where it stood before. */
function standing({
  activity,
  progress,
  step,
  steps,
  loss,
  examplesPerSecond,
  remainingMs,
}: Progress): Partial<AgentStatus['jobs'][number]> {
  return {
    activity,
    progress,
    ...(step !== undefined && { step }),
    ...(steps !== undefined && { steps }),
    ...(loss !== undefined && { loss }),
    ...(examplesPerSecond !== undefined && { examplesPerSecond }),
    ...(remainingMs !== undefined && { remainingMs }),
  };
}

interface InRound {
  readonly run: string;
  readonly round: number;
}

function inRound(status: AgentStatus, { run, round }: InRound, change: Partial<RoundStatus>): AgentStatus {
  const known = status.rounds.find((other) => other.run === run && other.round === round);
  const rounds = [...status.rounds.filter((other) => other !== known), { ...(known ?? { run, round }), ...change }];
  return { ...status, rounds: rounds.slice(-shownRounds) };
}

function withoutJob(status: AgentStatus, { run, round }: InRound): AgentStatus['jobs'] {
  return status.jobs.filter((job) => job.run !== run || job.round !== round);
}

function outcome({ accepted, reason }: { readonly accepted: boolean; readonly reason: string }): string {
  return accepted ? 'accepted' : reason;
}
