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

parentPort?.on('message', (job: DecodeJob) => {
  void answerTo(job).then((answer) => {
    const transfer = answer.ok && answer.value.data.buffer instanceof ArrayBuffer ? [answer.value.data.buffer] : [];
    parentPort?.postMessage(answer, transfer);
  });
});
