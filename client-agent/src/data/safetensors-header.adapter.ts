/** Where the tensors of a safetensors file lie, read from its header alone. */
import type { FileHandle } from 'node:fs/promises';

import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import { safetensorsLayout, type StoredTensor } from '@graft/models/formats/safetensors';

const prefixBytes = 8;

/** Throws DATA_FILE_UNREADABLE, WEIGHTS_MALFORMED for a file that is no safetensors file. */
export async function readHeader(file: FileHandle): Promise<Map<string, StoredTensor>> {
  const { size } = await file.stat();
  const prefix = Buffer.alloc(prefixBytes);
  const { bytesRead } = await file.read(prefix, 0, prefixBytes, 0);
  const claimed = bytesRead === prefixBytes ? prefix.readBigUInt64LE() : 0n;
  if (claimed < 2n || claimed > BigInt(limits.safetensorsHeaderBytes)) {
    throw new GraftError(
      'DATA_FILE_UNREADABLE',
      `its header claims ${claimed} bytes, the limit is ${limits.safetensorsHeaderBytes}`,
    );
  }
  const head = Buffer.alloc(prefixBytes + Number(claimed));
  await file.read(head, 0, head.length, 0);
  return safetensorsLayout(head, size);
}
