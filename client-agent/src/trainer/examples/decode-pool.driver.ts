/**
 * Threads that decode and vary images beside the one that runs the network. Each has one image in hand; the others wait in order.
 * A thread that ends takes its image with it, as an error that names it, and is replaced.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { GraftError } from '@graft/core/error';
import type { Tensor } from '@graft/core/tensor';

import { decodeJob, type DecodeAnswer, type DecodeJob } from './decode-job.adapter.js';

/** More threads than this decode faster than a network trains, and each may hold an image of 100 megapixels, 300 MB. */
const mostThreads = 8;

/** Images in hand at a time where there are no threads: the decoder has some of its own. */
const inlineAtOnce = 2;

export interface DecodePool {
  /** Throws IMAGE_UNREADABLE that names the record. */
  decode(job: DecodeJob): Promise<Tensor<'float32'>>;
  close(): Promise<void>;
}

interface Waiting {
  readonly job: DecodeJob;
  readonly resolve: (value: Tensor<'float32'>) => void;
  readonly reject: (error: unknown) => void;
}

export interface DecodePoolOptions {
  /** Default: the cores but one, which runs the network, up to 8. 0: on the calling thread. */
  readonly threads?: number;
  /** The program of a thread; the built one unless a test says otherwise. */
  readonly entry?: string;
  /** Old objects of one thread, MiB; pixels lie outside of it. Default 512. */
  readonly heapMegabytes?: number;
}

/** Threads start when there is work. Without a built program, as in specs that run from source, images are decoded on the calling thread. */
export function createDecodePool({
  threads = Math.min(availableParallelism() - 1, mostThreads),
  entry = fileURLToPath(new URL('./decode.main.js', import.meta.url)),
  heapMegabytes = 512,
}: DecodePoolOptions = {}): DecodePool {
  if (threads < 1 || !existsSync(entry)) return inlinePool();
  const queue: Waiting[] = [];
  const idle: Worker[] = [];
  const busy = new Map<Worker, Waiting>();

  const start = (): Worker => {
    const worker = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: heapMegabytes } });
    let cause = '';
    worker.on('error', (error: Error) => (cause = error.message));
    worker.on('message', (answer: DecodeAnswer) => {
      const waiting = busy.get(worker);
      busy.delete(worker);
      idle.push(worker);
      worker.unref();
      if (waiting !== undefined) settle(waiting, answer);
      next();
    });
    worker.on('exit', (code) => {
      const waiting = busy.get(worker);
      busy.delete(worker);
      if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1);
      waiting?.reject(unreadable(waiting.job, `its thread ended: ${cause || `exit code ${code}`}`));
      next();
    });
    return worker;
  };

  const next = (): void => {
    while (queue.length > 0 && busy.size < threads) {
      const waiting = queue.shift();
      if (waiting === undefined) return;
      const worker = idle.pop() ?? start();
      busy.set(worker, waiting);
      worker.ref();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage(waiting.job);
    }
  };

  return {
    decode: (job) =>
      new Promise((resolve, reject) => {
        queue.push({ job, resolve, reject });
        next();
      }),
    close: async () => {
      for (const { job, reject } of queue.splice(0)) reject(unreadable(job, 'the pool was closed'));
      await Promise.all([...idle, ...busy.keys()].map((worker) => worker.terminate()));
    },
  };
}

/** On the calling thread, a few at a time. */
function inlinePool(): DecodePool {
  const lanes: Promise<unknown>[] = Array.from({ length: inlineAtOnce }, () => Promise.resolve());
  let turn = 0;
  return {
    decode: (job) => {
      const lane = turn++ % inlineAtOnce;
      const decoded = (lanes[lane] ?? Promise.resolve()).then(() => decodeJob(job));
      lanes[lane] = decoded.catch(() => undefined);
      return decoded;
    },
    close: () => Promise.resolve(),
  };
}

function settle({ job, resolve, reject }: Waiting, answer: DecodeAnswer): void {
  if (answer.ok) return resolve(answer.value);
  reject(new GraftError(answer.code, answer.message, { details: { record: job.name } }));
}

function unreadable({ name }: DecodeJob, why: string): GraftError {
  return new GraftError('IMAGE_UNREADABLE', `'${name}' cannot be decoded: ${why}`, { details: { record: name } });
}
