/** Keeps status.json up to date: at once for what changes the state, at most a few times a second for progress. */
import { readIfPresent, replaceFile } from '../config/files.adapter.js';
import { agentStatusSchema, withEvent, type AgentStatus } from './agent-status.js';
import type { DaemonEvent } from './daemon-events.js';

/** Progress is written this often, milliseconds. */
const progressEveryMs = 500;

export interface StatusFile {
  record(event: DaemonEvent): void;
  /** Resolves when the last event is on the disk. */
  flush(): Promise<void>;
}

/** @param onError told once where the file cannot be written; the agent goes on without it */
export async function openStatusFile(
  file: string,
  first: AgentStatus,
  { nowMs, onError }: { readonly nowMs: () => number; readonly onError: (error: unknown) => void },
): Promise<StatusFile> {
  let status = first;
  let writing: Promise<void> | undefined;
  let isStale = false;
  let writtenAtMs = nowMs();
  let timer: NodeJS.Timeout | undefined;
  const write = async (): Promise<void> => {
    while (isStale) {
      isStale = false;
      writtenAtMs = nowMs();
      await replaceFile(file, `${JSON.stringify(status, null, 2)}\n`);
    }
  };
  const flush = (): Promise<void> => {
    writing ??= write().finally(() => {
      writing = undefined;
    });
    return writing;
  };
  /** The last progress before a pause has none after it that would bring it to the disk. */
  const writeLater = (waitMs: number): void => {
    if (timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      flush().catch(onError);
    }, waitMs);
    timer.unref();
  };
  await replaceFile(file, `${JSON.stringify(status, null, 2)}\n`);
  return {
    record: (event) => {
      status = withEvent(status, event, nowMs());
      isStale = true;
      const waitMs = event.event === 'progress' ? progressEveryMs - (nowMs() - writtenAtMs) : 0;
      if (waitMs <= 0) flush().catch(onError);
      else writeLater(waitMs);
    },
    flush: async () => {
      clearTimeout(timer);
      timer = undefined;
      await flush().catch(onError);
      if (isStale) await flush().catch(onError);
    },
  };
}

/** The last status written, or undefined where no daemon ran here or the file is of another version. */
export async function readStatusFile(file: string): Promise<AgentStatus | undefined> {
  const text = await readIfPresent(file);
  return text === undefined ? undefined : agentStatusSchema.safeParse(JSON.parse(text)).data;
}
