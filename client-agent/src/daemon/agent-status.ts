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

/** Work that waits for its turn. */
const queuedSchema = z.object({
  kind: z.string(),
  run: z.string(),
  round: z.number(),
  task: z.string(),
  priority: z.number(),
  sinceMs: z.number(),
});

const roundSchema = z.object({
  run: z.string(),
  round: z.number(),
  update: z
    .object({
      examples: z.number(),
      loss: z.number(),
      bytes: z.number(),
      outcome: z.string(),
      message: z.string().optional(),
    })
    .optional(),
  evaluation: z
    .object({ examples: z.number(), fp32: z.number(), int8: z.number().optional(), outcome: z.string() })
    .optional(),
  failure: z.string().optional(),
  /** Why its work was given up without a report. */
  dropped: z.string().optional(),
});

export const agentStatusSchema = z.object({
  /** Process id; compare it with the processes that run. */
  pid: z.number(),
  version: z.string(),
  agentId: z.string(),
  agentName: z.string(),
  server: z.string(),
  state: z.enum(['connecting', 'connected', 'away', 'retrying', 'stopped']),
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
  /** Why the site takes no work, and since when. */
  paused: z.object({ reason: z.string(), sinceMs: z.number() }).optional(),
  /** Until when the work in hand may go on; then the agent ends. */
  drainingUntilMs: z.number().optional(),
  /** What training runs on, for people. */
  device: z.string().optional(),
  jobs: z.array(jobSchema),
  /** In the order in which it will be done. */
  queue: z.array(queuedSchema).default([]),
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
    case 'device':
      return { ...status, device: event.about };
    case 'paused':
      return { ...status, paused: { reason: event.reason, sinceMs: atMs } };
    case 'resumed': {
      const { paused: _, ...rest } = status;
      return rest;
    }
    case 'draining':
      return { ...status, drainingUntilMs: atMs + event.limitMs };
    case 'queued': {
      const { kind, run, round, task, priority } = event;
      const queue = [...withoutQueued(status, event), { kind, run, round, task, priority, sinceMs: atMs }];
      return { ...status, queue: queue.sort((a, b) => b.priority - a.priority) };
    }
    case 'dropped': {
      const { reason: dropped } = event;
      const rest = { ...status, queue: withoutQueued(status, event) };
      return event.kind === 'install' ? rest : inRound(rest, event, { dropped });
    }
    case 'working': {
      const { kind, run, round } = event;
      const queue = withoutQueued(status, event);
      return { ...status, queue, jobs: [...withoutJob(status, event), { kind, run, round }] };
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
      const { examples, loss, bytes, message } = event;
      return inRound(status, event, {
        update: { examples, loss, bytes, outcome: outcome(event), ...(message !== undefined && { message }) },
      });
    }
    case 'evaluation-sent': {
      const { examples, accuracyFp32: fp32, accuracyInt8: int8 } = event;
      return inRound(status, event, {
        evaluation: { examples, fp32, ...(int8 === undefined ? {} : { int8 }), outcome: outcome(event) },
      });
    }
    case 'failed':
      return inRound(status, event, { failure: `${event.code}: ${event.message}` });
    case 'cancelled': {
      const { run, round } = event;
      const queue = status.queue.filter((other) => other.run !== run || other.round !== round);
      return { ...status, queue, jobs: withoutJob(status, event) };
    }
    case 'installed': {
      const { release: id, run, round, precision } = event;
      return { ...status, release: { id, run, round, precision } };
    }
    case 'done':
      return { ...status, jobs: status.jobs.filter((job) => !isSameWork(job, event)) };
    case 'not-needed':
      return {
        ...status,
        state: 'away',
        sinceMs: atMs,
        cause: `not needed until ${new Date(atMs + event.comeBackMs).toISOString()}`,
      };
    case 'drained':
    case 'ignored':
    case 'log-problem':
    case 'delivery-problem':
      return status;
    default:
      return { ...status, state: 'stopped', sinceMs: atMs, cause: event.reason, jobs: [], queue: [] };
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

interface Work extends InRound {
  readonly kind: string;
}

function isSameWork(one: Work, other: Work): boolean {
  return one.kind === other.kind && one.run === other.run && one.round === other.round;
}

function withoutQueued(status: AgentStatus, work: Work): AgentStatus['queue'] {
  return status.queue.filter((other) => !isSameWork(other, work));
}

function withoutJob(status: AgentStatus, { run, round }: InRound): AgentStatus['jobs'] {
  return status.jobs.filter((job) => job.run !== run || job.round !== round);
}

function outcome({ accepted, reason }: { readonly accepted: boolean; readonly reason: string }): string {
  return accepted ? 'accepted' : reason;
}
