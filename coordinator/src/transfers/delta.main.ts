/** The worker thread that makes deltas: started with the first one that an agent asks for, with the folder of the blobs. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { answerCall, type CallRequest } from '../compute/calls.js';
import { makeDelta, type MakeDelta } from './make-delta.adapter.js';

const { blobDirectory } = workerData as { readonly blobDirectory: string };
const blobs = await openBlobDirectory(blobDirectory);
// What is left there by a thread that was killed is swept as a partial upload.
const scratch = join(blobDirectory, 'partial');
const handlers = { delta: (input: MakeDelta) => makeDelta(input, blobs, scratch) };

parentPort?.on('message', (request: CallRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  void answerCall(handlers, request).then((reply) => parentPort?.postMessage(reply));
});
