/**
 * Ends a call whose peer reads nothing. grpc-js sends a status behind the data that waits for the peer's window, so a peer
 * that does not read would keep call and chunk for ever; only a reset of the HTTP/2 stream frees them. It has no call for
 * that: this is the one place that reaches for the stream, and a spec fails when that stops to work.
 */
import { constants, type ServerHttp2Stream } from 'node:http2';

interface CallInternals {
  readonly call?: { readonly stream?: ServerHttp2Stream };
}

export function resetStream(call: object): void {
  const { stream } = (call as CallInternals).call ?? {};
  if (stream === undefined) {
    throw new Error('this version of @grpc/grpc-js keeps its HTTP/2 streams elsewhere: see reset-stream.adapter.ts');
  }
  stream.close(constants.NGHTTP2_CANCEL);
}
