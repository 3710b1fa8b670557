/** A thread of the decode pool: one job at a time, its answer back. */
import { parentPort } from 'node:worker_threads';

import { GraftError } from '@graft/core/error';

import { decodeJob, type DecodeAnswer, type DecodeJob } from './decode-job.adapter.js';

async function answerTo(job: DecodeJob): Promise<DecodeAnswer> {
  try {
    return { ok: true, value: await decodeJob(job) };
  } catch (error) {
    if (!(error instanceof GraftError)) throw error;
    return { ok: false, code: error.code, message: error.message };
  }
}

async function answer(job: DecodeJob): Promise<void> {
  const made = await answerTo(job);
  const transfer = made.ok && made.value.data.buffer instanceof ArrayBuffer ? [made.value.data.buffer] : [];
  parentPort?.postMessage(made, transfer);
}

// What is no error of the image ends the thread, which the pool notices.
parentPort?.on('message', (job: DecodeJob) => void answer(job));
