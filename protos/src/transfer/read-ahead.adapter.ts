/**
 * grpc-js reads 16 messages ahead of a slow reader, which are 16 MiB a transfer; two keep it busy. The stream is the call's
 * own, and has no option for it, so that its state is changed before anything is read.
 */
import type { Readable } from 'node:stream';

export function boundReadAhead(call: Readable): void {
  const { _readableState: state } = call as unknown as { readonly _readableState?: { highWaterMark: number } };
  if (state !== undefined) state.highWaterMark = 2;
}
