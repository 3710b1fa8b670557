/**
 * Keeps one worker (a thread or a process) for calls, one after another. A worker that dies fails the call in hand, which is
 * tried once more in a new worker: a death may have been memory or chance, two in the same call are the call's fault.
 */
import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';

import { GraftError } from '@graft/core/error';

import type { Logger } from '../rounds/rounds.js';
import { errorOfReply, type CallReply, type CallRequest } from './calls.js';

/** A running worker. */
export interface Channel {
  post(request: CallRequest): void;
  onReply(listener: (reply: CallReply) => void): void;
  /** Called once, when the worker has ended by itself or by `end`. */
  onEnd(listener: (cause: string) => void): void;
  end(): Promise<void>;
}

export interface CallHost {
  call(name: string, input: unknown): Promise<unknown>;
  close(): Promise<void>;
}

interface Pending {
  readonly name: string;
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
  tries: number;
}

const maxTries = 2;

export function callHost(name: string, start: () => Channel, logger: Logger): CallHost {
  const queue: Pending[] = [];
  let channel: Channel | undefined;
  let current: (Pending & { readonly id: number }) | undefined;
  let lastId = 0;
  let closed = false;

  function next(): void {
    const pending = queue[0];
    if (current !== undefined || pending === undefined || closed) return;
    queue.shift();
    channel ??= open();
    lastId += 1;
    pending.tries += 1;
    current = Object.assign(pending, { id: lastId });
    channel.post({ id: lastId, call: pending.name, input: pending.input });
  }

  function open(): Channel {
    const opened = start();
    opened.onReply((reply) => {
      if (current === undefined || reply.id !== current.id) return;
      const { resolve, reject } = current;
      current = undefined;
      if (reply.ok) resolve(reply.output);
      else reject(errorOfReply(reply));
      next();
    });
    opened.onEnd((cause) => {
      if (channel === opened) channel = undefined;
      const failed = current;
      current = undefined;
      if (failed === undefined) return;
      if (closed) {
        failed.reject(new GraftError('UNAVAILABLE', `${failed.name} was not finished: the coordinator stops`));
      } else if (failed.tries < maxTries) {
        logger.warn({ worker: name, call: failed.name, cause }, 'a worker died, its call is tried once more');
        queue.unshift(failed);
      } else {
        const message = `${failed.name} failed ${failed.tries} times because ${name} ended: ${cause}`;
        failed.reject(new GraftError('COMPUTE_FAILED', message));
      }
      next();
    });
    return opened;
  }

  return {
    call: (call, input) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(new GraftError('UNAVAILABLE', `${call} was not started: the coordinator stops`));
          return;
        }
        queue.push({ name: call, input, resolve, reject, tries: 0 });
        next();
      }),
    close: async () => {
      closed = true;
      for (const { name: call, reject } of queue.splice(0)) {
        reject(new GraftError('UNAVAILABLE', `${call} was not started: the coordinator stops`));
      }
      await channel?.end();
    },
  };
}

/** A worker thread that runs `file`; `data` is its workerData. */
export function threadChannel(file: URL, data: unknown): Channel {
  const worker = new Worker(file, { workerData: data });
  let cause = '';
  worker.on('error', (error) => (cause = error.message));
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    post: (request) => worker.postMessage(request),
    onReply: (listener) => worker.on('message', listener),
    onEnd: (listener) => worker.once('exit', (code) => listener(cause === '' ? `exit code ${code}` : cause)),
    end: async () => {
      await worker.terminate();
    },
  };
}

/** A child process that runs `file`: what aborts in there does not end the server. */
export function processChannel(file: URL, args: readonly string[]): Channel {
  const child = fork(file, args, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let ended = false;
  const onEnd = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  void onEnd.then(() => (ended = true));
  return {
    post: (request) => {
      // A child that is gone already reports its end, and with it the fate of this call.
      if (child.connected) child.send(request, () => undefined);
    },
    onReply: (listener) => child.on('message', (message) => listener(message as CallReply)),
    onEnd: (listener) => void onEnd.then(listener),
    end: async () => {
      if (!ended) child.kill('SIGKILL');
      await onEnd;
    },
  };
}
