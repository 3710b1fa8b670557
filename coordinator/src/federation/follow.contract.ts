/** An instruction stream as specs look at it. */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';

import type * as wire from '@graft/protos/messages';

/** A stream with what came on it; errors are collected, not thrown. */
export function follow(stream: ClientReadableStream<wire.Instruction>) {
  const received: wire.Instruction[] = [];
  stream.on('data', (instruction: wire.Instruction) => received.push(instruction));
  const ended = new Promise<ServiceError | undefined>((resolve) => {
    stream.on('error', (error) => resolve(error as ServiceError));
    stream.on('end', () => resolve(undefined));
  });
  return { received, ended, cancel: () => stream.cancel() };
}

/** Waits for a condition, 5 s at most. */
export async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 5_000) throw new Error('waited 5 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
