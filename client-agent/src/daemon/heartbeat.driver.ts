/** Tells the coordinator how far a job is, as often as it asks for. What it said is logged once, when the job is over. */
import type { AgentContext } from '../jobs/agent-context.js';
import type { Progress } from '../trainer/trainer-calls.js';
import { isTransient } from './call-errors.js';
import { longestHeartbeatMs, pause } from './connection.driver.js';
import { laneOf, type Job } from './instruction-queue.js';

export interface Heartbeat {
  progress(progress: Progress): void;
  /** Resolves when the last call is over. */
  end(): Promise<void>;
}

export function startHeartbeat(context: AgentContext, job: Job<unknown>, signal: AbortSignal): Heartbeat {
  if (laneOf(job) === 'install') return { progress: () => undefined, end: () => Promise.resolve() };
  const over = new AbortController();
  const stop = (): void => over.abort();
  signal.addEventListener('abort', stop, { once: true });
  let latest: Progress = { activity: 'fetching', progress: 0 };
  const sent = { count: 0, bytes: 0 };
  const running = beat(context, job, { signal: over.signal, latest: () => latest, sent });
  return {
    progress: (progress) => {
      latest = progress;
    },
    end: async () => {
      stop();
      signal.removeEventListener('abort', stop);
      await running;
      if (sent.count === 0) return;
      const { runId: run, round } = job;
      const note = `${sent.count} heartbeats`;
      await context.sentLog.append({
        what: 'progress',
        to: context.config.federation,
        bytes: sent.bytes,
        run,
        round,
        note,
      });
    },
  };
}

interface Beating {
  readonly signal: AbortSignal;
  readonly latest: () => Progress;
  readonly sent: { count: number; bytes: number };
}

async function beat(
  { connection, site }: AgentContext,
  job: Job<unknown>,
  { signal, latest, sent }: Beating,
): Promise<void> {
  let nextMs = connection.heartbeatMs;
  for (;;) {
    await pause(nextMs, signal);
    if (signal.aborted) return;
    const client = connection.now();
    if (client === undefined) continue;
    const { activity, progress, loss = 0 } = latest();
    const request = { runId: job.runId, round: job.round, activity, progress, loss, paused: site.paused() };
    try {
      sent.count += 1;
      sent.bytes += JSON.stringify(request).length;
      const answer = await client.heartbeat(request, { signal });
      connection.mayLeave(answer.comeBackMs ?? 0);
      nextMs = answer.nextMs > 0 ? Math.min(longestHeartbeatMs, answer.nextMs) : connection.heartbeatMs;
    } catch (error) {
      // A heartbeat that is lost or refused changes nothing; the next one says more.
      if (!isTransient(error)) nextMs = connection.heartbeatMs * 4;
    }
  }
}
