/** Bytes to the coordinator's blob store, and a model file to its library. */
import { readFile, stat } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { encodeGraph } from '@graft/models/formats/onnx/graph-file';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { sha256 } from '@graft/models/formats/sha256.adapter';
import type { ModelCard } from '@graft/models/pipeline/model-card';
import type { BlobRef } from '@graft/models/pipeline/pipeline';

import type { AdminApi } from './admin-api.adapter.js';
import type { ModelView } from './views.js';

export async function uploadBlob(api: AdminApi, bytes: Uint8Array): Promise<BlobRef> {
  const hash = sha256(bytes);
  await api.put(`/blobs/${hash}`, bytes);
  return { hash, sizeBytes: bytes.length };
}

/** Reads a model file that may be too large, or not there, with an error that says so. */
async function readModelFile(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    if (size > limits.onnxBytes)
      throw new GraftError('MODEL_MALFORMED', `${file} has ${size} bytes, the limit is ${limits.onnxBytes}`);
    return await readFile(file);
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    throw new GraftError('DATA_NOT_FOUND', `cannot read the model file ${file}`, { cause });
  }
}

/** Imports an ONNX file into the internal form, and registers it in the coordinator's library. */
export async function importModel(api: AdminApi, file: string, card: ModelCard): Promise<ModelView> {
  const { graph, weights } = importOnnx(await readModelFile(file));
  return api.post<ModelView>('/models', {
    card,
    graph: await uploadBlob(api, encodeGraph(graph)),
    weights: await uploadBlob(api, encodeSafetensors(weights)),
  });
}
