/** A pipeline as one ONNX file, made in a worker thread that lives as long: reading and writing a whole model is no work for the event loop. */
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import { lending, type WorkerFiles } from '../blobs/worker-files.js';
import { callHost, threadChannel } from '../compute/call-host.driver.js';
import type { Log } from '../server/log.js';

/** @param files the files of the blob store */
export function onnxExporter(files: WorkerFiles, log: Log): (pipeline: Pipeline) => Promise<Uint8Array> {
  const file = new URL('./export-onnx.main.js', import.meta.url);
  return async (pipeline) => {
    const data = { blobDirectory: files.directory };
    const host = lending(
      files,
      callHost('the export thread', () => threadChannel(file, data), log),
    );
    try {
      return (await host.call('export', pipeline)) as Uint8Array;
    } finally {
      await host.close();
    }
  };
}
