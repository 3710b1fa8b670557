/** A pipeline as one ONNX file, made in a worker thread that lives as long: reading and writing a whole model is no work for the event loop. */
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import { callHost, threadChannel } from '../compute/call-host.driver.js';
import type { Log } from '../server/log.js';

/** @param blobDirectory the folder of the blob store */
export function onnxExporter(blobDirectory: string, log: Log): (pipeline: Pipeline) => Promise<Uint8Array> {
  const file = new URL('./export-onnx.main.js', import.meta.url);
  return async (pipeline) => {
    const host = callHost('the export thread', () => threadChannel(file, { blobDirectory }), log);
    try {
      return (await host.call('export', pipeline)) as Uint8Array;
    } finally {
      await host.close();
    }
  };
}
