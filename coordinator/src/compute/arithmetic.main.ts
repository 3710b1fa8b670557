/** The worker thread for arithmetic in plain JavaScript: started by workers.driver.ts, which gives it the folder of the blobs. */
import { parentPort, workerData } from 'node:worker_threads';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { finishFold, foldUpdates, joinSums, openUpdate, sumGroup } from './aggregate.adapter.js';
import type { FoldRequest, OpenRequest, PartialSums } from './aggregation.js';
import { answerCall, type CallRequest } from './calls.js';
import type { PrepareInput } from './model-work.js';
import { prepareRun } from './prepare.adapter.js';

const { blobDirectory } = workerData as { readonly blobDirectory: string };
const blobs = await openBlobDirectory(blobDirectory);
const handlers = {
  open: (request: OpenRequest) => openUpdate(request, blobs),
  fold: (request: FoldRequest) => foldUpdates(request, blobs),
  group: (request: Parameters<PartialSums['group']>[0]) => sumGroup(request, blobs),
  join: (request: Parameters<PartialSums['join']>[0]) => joinSums(request, blobs),
  finish: (request: Parameters<PartialSums['finish']>[0]) => finishFold(request, blobs),
  prepare: (input: PrepareInput) => prepareRun(input, blobs),
};

parentPort?.on('message', (request: CallRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  void answerCall(handlers, request).then((reply) => parentPort?.postMessage(reply));
});
