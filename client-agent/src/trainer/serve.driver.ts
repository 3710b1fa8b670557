/** The trainer's side of the IPC channel: jobs one after another, cancelled ones skipped, errors as values. */
import { performance } from 'node:perf_hooks';

import { GraftError } from '@graft/core/error';

import { messageOf } from '../output/output.js';
import { saysOutOfMemory } from './memory-failure.js';
import type { CallName, Progress, TrainerCalls, TrainerReply, TrainerRequest } from './trainer-calls.js';

/** Least time between two messages of progress of one activity, milliseconds. */
const progressEveryMs = 100;

export interface JobControl {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export type TrainerJobs = {
  readonly [K in CallName]: (
    input: TrainerCalls[K]['input'],
    control: JobControl,
  ) => Promise<TrainerCalls[K]['output']>;
};

/** The ends of the channel that are used; `process` of a forked program has them. */
export interface Channel {
  on(event: 'message', listener: (message: unknown) => void): unknown;
  send(message: TrainerReply): void;
}

/** Answers requests for as long as the channel is open. */
export function serveJobs(channel: Channel, jobs: TrainerJobs): void {
  const aborts = new Map<number, AbortController>();
  const waiting = new Set<number>();
  const send = (reply: TrainerReply): void => channel.send(reply);
  let last: Promise<void> = Promise.resolve();
  channel.on('message', (message) => {
    const request = message as TrainerRequest;
    const { id } = request;
    if (request.call === 'cancel') {
      const cancelled = new GraftError('CANCELLED', 'cancelled');
      // One that waits for another job is answered at once: the daemon ends a trainer that does not answer, and the other job with it.
      if (waiting.delete(id)) send(failed(id, cancelled));
      return aborts.get(id)?.abort(cancelled);
    }
    const abort = new AbortController();
    aborts.set(id, abort);
    waiting.add(id);
    last = last
      .then(() => (waiting.delete(id) ? answer(request, jobs, { signal: abort.signal, send }) : undefined))
      .finally(() => aborts.delete(id));
  });
}

interface Answering {
  readonly signal: AbortSignal;
  readonly send: (reply: TrainerReply) => void;
}

async function answer(
  request: Exclude<TrainerRequest, { call: 'cancel' }>,
  jobs: TrainerJobs,
  { signal, send }: Answering,
): Promise<void> {
  const { id } = request;
  try {
    signal.throwIfAborted();
    const onProgress = throttled((progress) => send({ id, kind: 'progress', progress }));
    const output = await run(request, jobs, { signal, onProgress });
    send({ id, kind: 'done', output });
  } catch (error) {
    const known = knownError(error);
    if (known.code === 'INTERNAL' && error instanceof Error) process.stderr.write(`${error.stack ?? error.message}\n`);
    send(failed(id, known));
  }
}

function failed(id: number, { code, message, details }: GraftError): TrainerReply {
  return { id, kind: 'failed', code, message, details };
}

function knownError(error: unknown): GraftError {
  const message = messageOf(error);
  if (saysOutOfMemory(message)) return new GraftError('TRAINER_OUT_OF_MEMORY', message, { cause: error });
  return error instanceof GraftError ? error : new GraftError('INTERNAL', message, { cause: error });
}

/** Progress is worth a message when the activity changes or some time has passed. */
function throttled(send: (progress: Progress) => void): (progress: Progress) => void {
  let last: { activity: string; atMs: number } | undefined;
  return (progress) => {
    const atMs = performance.now();
    if (last?.activity === progress.activity && atMs - last.atMs < progressEveryMs) return;
    last = { activity: progress.activity, atMs };
    send(progress);
  };
}

function run(request: Exclude<TrainerRequest, { call: 'cancel' }>, jobs: TrainerJobs, control: JobControl) {
  switch (request.call) {
    case 'summary':
      return jobs.summary(request.input, control);
    case 'fit':
      return jobs.fit(request.input, control);
    case 'probe':
      return jobs.probe(request.input, control);
    case 'evaluate':
      return jobs.evaluate(request.input, control);
    case 'predict':
      return jobs.predict(request.input, control);
    default:
      return jobs.runtime(request.input, control);
  }
}
