/** The worker thread of export-onnx.driver.ts: reads a pipeline's blobs, joins its parts, and answers one ONNX file. */
import { parentPort, workerData } from 'node:worker_threads';

import { exportOnnx } from '@graft/models/formats/onnx/export-onnx';
import type { Model } from '@graft/models/graph/graph';
import { loadPart } from '@graft/models/pipeline/load-part';
import { mergePipeline } from '@graft/models/pipeline/merge-pipeline';
import type { Part, Pipeline } from '@graft/models/pipeline/pipeline';

import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { answerCall, type CallRequest } from '../compute/calls.js';

const { blobDirectory } = workerData as { readonly blobDirectory: string };
const blobs = await openBlobDirectory(blobDirectory);

async function load({ graph, weights }: Part): Promise<Model> {
  return loadPart(await blobs.read(graph.hash), await Promise.all(weights.map(async ({ hash }) => blobs.read(hash))));
}

const handlers = {
  export: async ({ trunk, tail }: Pipeline) =>
    exportOnnx(mergePipeline(trunk && (await load(trunk)), await load(tail))),
};

parentPort?.on('message', (request: CallRequest) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  void answerCall(handlers, request).then((reply) => parentPort?.postMessage(reply));
});
