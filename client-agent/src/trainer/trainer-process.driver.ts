/**
 * The trainer as the daemon sees it: a process apart, started at the first call and kept between rounds.
 * Native code may abort it and the system may kill it for memory: the calls in hand then fail with TRAINER_FAILED
 * or TRAINER_OUT_OF_MEMORY, the daemon lives on, and the next call starts a new one.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { errorCatalogue, GraftError, type ErrorCode } from '@graft/core/error';

import type { EngineSpec } from './training/engine-spec.js';
import { saysOutOfMemory } from './memory-failure.js';
import type { CallName, Progress, TrainerCalls, TrainerReply } from './trainer-calls.js';

export interface CallOptions {
  readonly onProgress?: (progress: Progress) => void;
  /** Aborted: the call ends with CANCELLED, at the latest when the trainer is ended. */
  readonly signal?: AbortSignal;
}

export interface Trainer {
  call<K extends CallName>(
    name: K,
    input: TrainerCalls[K]['input'],
    options?: CallOptions,
  ): Promise<TrainerCalls[K]['output']>;
  /** Process id while one runs. */
  pid(): number | undefined;
  /** Ends the process; calls in hand fail. */
  close(): Promise<void>;
}

/** How long a cancelled call may go on before the process is ended: a step of a large model takes seconds. */
const cancelGraceMs = 3_000;

/** How long a closing trainer may take before it is killed. */
const closeGraceMs = 2_000;

/** Characters of its output that are kept: V8 says why it ends and then prints stacks of both languages. */
const keptWords = 16_000;

/** Who may have sent a signal that nobody here sent. */
const killers: Readonly<Record<string, string>> = {
  SIGKILL: ', as a system does that runs out of memory',
};

interface PendingCall {
  /** Which was asked. */
  readonly process: ChildProcess;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: GraftError) => void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export interface TrainerOptions {
  /** Options of node. */
  readonly execArgv?: readonly string[];
  /** What training runs on; the defaults of the configuration where it is left out. */
  readonly engine?: EngineSpec;
}

/** @param entry the trainer's program; the built trainer.main.js unless a test says otherwise */
export function createTrainer(
  entry: string = fileURLToPath(new URL('./trainer.main.js', import.meta.url)),
  { execArgv = [], engine }: TrainerOptions = {},
): Trainer {
  const pending = new Map<number, PendingCall>();
  let child: ChildProcess | undefined;
  let lastId = 0;

  const start = (): ChildProcess => {
    const started = fork(entry, engine === undefined ? [] : [JSON.stringify(engine)], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [...execArgv],
    });
    let tail = '';
    const keepTail = (data: Buffer): void => {
      tail = (tail + data.toString()).slice(-keptWords);
    };
    started.stdout?.on('data', keepTail);
    started.stderr?.on('data', keepTail);
    started.on('message', (message) => settle(message as TrainerReply));
    const forget = (): void => {
      if (child === started) child = undefined;
    };
    let over = false;
    const end = (how: string): void => {
      if (over) return;
      over = true;
      forget();
      const lines = tail.trim().split('\n');
      const last = lines.find((line) => /error|fatal|abort|terminate|what\(\)/i.test(line)) ?? lines.at(-1);
      const calls = [...pending].filter(([, call]) => call.process === started);
      const code = saysOutOfMemory(tail) ? 'TRAINER_OUT_OF_MEMORY' : 'TRAINER_FAILED';
      for (const [id, call] of calls) {
        pending.delete(id);
        call.reject(new GraftError(code, `the trainer process ${how}${last ? `: ${last}` : ''}`));
      }
    };
    // Every time: each message that does not arrive is an error, and one that nobody hears ends the daemon.
    started.on('error', (error) => end(`could not be reached: ${error.message}`));
    // The next call has a new process at once.
    started.once('exit', forget);
    // 'close' comes after 'exit', once the last words have been read.
    started.once('close', (code, signal) =>
      end(signal === null ? `ended with code ${code}` : `was ended by ${signal}${killers[signal] ?? ''}`),
    );
    child = started;
    return started;
  };

  const settle = (reply: TrainerReply): void => {
    const call = pending.get(reply.id);
    if (call === undefined) return;
    if (reply.kind === 'progress') return call.onProgress?.(reply.progress);
    pending.delete(reply.id);
    if (reply.kind === 'done') call.resolve(reply.output);
    else call.reject(new GraftError(knownCode(reply.code), reply.message, { details: reply.details }));
  };

  return {
    call: (name, input, options = {}) => {
      const { signal, onProgress } = options;
      if (signal?.aborted) return Promise.reject(new GraftError('CANCELLED', `${name} was cancelled before it began`));
      const process = child ?? start();
      const id = (lastId += 1);
      const { promise, resolve, reject } = withResolvers();
      pending.set(id, { process, resolve, reject, onProgress });
      process.send({ id, call: name, input }, (error) => {
        if (error === null || !pending.delete(id)) return;
        reject(new GraftError('TRAINER_FAILED', `the trainer process takes no calls: ${error.message}`));
      });
      const cancel = (): void => {
        if (process.connected) process.send({ id, call: 'cancel' });
        const timer = setTimeout(() => pending.has(id) && process.kill('SIGKILL'), cancelGraceMs);
        timer.unref();
      };
      signal?.addEventListener('abort', cancel, { once: true });
      return promise
        .catch((error: unknown) => {
          if (signal?.aborted) throw new GraftError('CANCELLED', `${name} was cancelled`, { cause: error });
          throw error;
        })
        .finally(() => signal?.removeEventListener('abort', cancel)) as Promise<TrainerCalls[typeof name]['output']>;
    },
    pid: () => child?.pid,
    close: async () => {
      const ending = child;
      if (ending === undefined) return;
      const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
      if (ending.connected) ending.disconnect();
      const timer = setTimeout(() => ending.kill('SIGKILL'), closeGraceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(errorCatalogue, code) ? (code as ErrorCode) : 'INTERNAL';
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers() {
  let resolve: (output: unknown) => void = () => undefined;
  let reject: (error: GraftError) => void = () => undefined;
  const promise = new Promise<unknown>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
