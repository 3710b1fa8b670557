/** A file to the coordinator, from the first chunk that it does not have; paced, and cut when nothing moves. */
import { open, type FileHandle } from 'node:fs/promises';

import type { Timers } from '@graft/core/clock';
import { GraftError } from '@graft/core/error';
import { limits } from '@graft/core/limits';
import type { BlobRef } from '@graft/models/pipeline/pipeline';
import { allocateChunk } from '@graft/protos/chunk-codec.adapter';
import type { FederationClient, UploadCall } from '@graft/protos/clients.adapter';
import type { Pace } from '@graft/protos/transfer/pace';
import { watchSilence, type SilenceWatch } from '@graft/protos/transfer/silence';

import { isOutOfStep } from '../daemon/call-errors.js';

/** How often an upload asks anew where to go on before it gives up. */
const resumes = 4;

export interface UploadPorts {
  readonly pace: Pace;
  readonly time: Timers;
  readonly silentMs: number;
}

export interface UploadOptions {
  readonly signal: AbortSignal;
  /** Called before bytes leave, with how many will. */
  readonly onBegin: (bytes: number) => Promise<void>;
  /** Share of the file that has gone out. */
  readonly onProgress?: (progress: number) => void;
}

/** Throws the call's error where it broke or was refused: what arrived stays there. */
export async function upload(
  ports: UploadPorts,
  client: FederationClient,
  { file, blob }: { readonly file: string; readonly blob: BlobRef },
  options: UploadOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const state = await client.uploadState({ blob }, { signal: options.signal });
    if (state.complete) return;
    await options.onBegin(blob.sizeBytes - state.nextChunk * limits.chunkBytes);
    const handle = await open(file, 'r');
    const over = new AbortController();
    const watch = watchSilence(ports.time, ports.silentMs, () => over.abort());
    try {
      const signal = AbortSignal.any([options.signal, over.signal]);
      const call = client.upload({ blob, firstChunk: state.nextChunk }, { signal });
      await send({ ports, handle, blob, call, watch, signal, onProgress: options.onProgress }, state.nextChunk);
      await call.receipt;
      return;
    } catch (error) {
      if (!isOutOfStep(error) || attempt === resumes) throw error;
    } finally {
      watch.end();
      over.abort();
      await handle.close();
    }
  }
}

interface Sending {
  readonly ports: UploadPorts;
  readonly handle: FileHandle;
  readonly blob: BlobRef;
  readonly call: UploadCall;
  readonly watch: SilenceWatch;
  readonly signal: AbortSignal;
  readonly onProgress: ((progress: number) => void) | undefined;
}

/** Reads one chunk ahead of the one that waits for the coordinator's window. Ends early where the coordinator has answered: it refuses. */
async function send(
  { ports, handle, blob, call, watch, signal, onProgress }: Sending,
  firstChunk: number,
): Promise<void> {
  const { sizeBytes } = blob;
  const answer = { isHere: false };
  const answered = call.receipt.then(
    () => void (answer.isHere = true),
    () => void (answer.isHere = true),
  );
  // What was written has been copied by the time that it is done: two chunks take turns.
  const rooms = [allocateChunk(limits.chunkBytes), allocateChunk(limits.chunkBytes)] as const;
  let room = 0;
  let sending: Promise<void> = Promise.resolve();
  for (let start = firstChunk * limits.chunkBytes; start < sizeBytes; start += limits.chunkBytes) {
    const chunk = { data: (rooms[room] ?? rooms[0]).data.subarray(0, sizeBytes - start) };
    room = 1 - room;
    const { bytesRead } = await handle.read(chunk.data, 0, chunk.data.length, start);
    if (bytesRead !== chunk.data.length) {
      call.chunks.destroy();
      throw new GraftError('TRANSFER_CORRUPT', `the sealed file ends at byte ${start + bytesRead} of ${sizeBytes}`);
    }
    await Promise.race([sending, answered]);
    if (answer.isHere) return;
    watch.end();
    await ports.pace.take(chunk.data.length, signal);
    watch.progress();
    sending = new Promise((resolve) => call.chunks.write(chunk, () => resolve()));
    onProgress?.(Math.min(1, (start + chunk.data.length) / sizeBytes));
  }
  await Promise.race([sending, answered]);
  watch.progress();
  call.chunks.end();
}
