/** Ports whose calls are timed: the blob store and the compute workers. What they answer and throw passes as it is. */
import { performance } from 'node:perf_hooks';

import type { BlobStore } from '../../blobs/blob-store.js';
import type { Aggregator } from '../../compute/aggregation.js';
import type { ModelWork } from '../../compute/model-work.js';
import type { Telemetry } from '../telemetry.js';

interface CallObserver {
  begin?(call: string): void;
  end(call: string, seconds: number, error: unknown): void;
}

export function observedBlobs(blobs: BlobStore, telemetry: Telemetry): BlobStore {
  return observed(blobs, {
    end: (call, seconds, error) =>
      telemetry.observe('graft_blob_seconds', { call, result: error === undefined ? 'ok' : 'failed' }, seconds),
  });
}

export function observedCompute<Port extends Aggregator | ModelWork>(port: Port, telemetry: Telemetry): Port {
  return observed(port, {
    begin: (call) => telemetry.move('graft_compute_queue_depth', { call }, 1),
    end: (call, seconds, error) => {
      telemetry.move('graft_compute_queue_depth', { call }, -1);
      telemetry.observe('graft_compute_seconds', { call, result: error === undefined ? 'ok' : 'failed' }, seconds);
    },
  });
}

/** Every function of the port that answers a promise, but for `close`. */
function observed<Port extends object>(port: Port, observer: CallObserver): Port {
  const wrapped = Object.entries(port).map(([name, member]: [string, unknown]) => [
    name,
    typeof member === 'function' && name !== 'close' ? timed(name, member.bind(port) as Call, observer) : member,
  ]);
  return { ...port, ...(Object.fromEntries(wrapped) as Partial<Port>) };
}

type Call = (...inputs: unknown[]) => unknown;

function timed(name: string, call: Call, observer: CallObserver): Call {
  return (...inputs) => {
    const startedAtMs = performance.now();
    const answer = call(...inputs);
    if (!(answer instanceof Promise)) return answer;
    observer.begin?.(name);
    const end = (error?: unknown): void => observer.end(name, (performance.now() - startedAtMs) / 1000, error);
    answer.then(
      () => end(),
      (error: unknown) => end(error ?? new Error('rejected')),
    );
    return answer;
  };
}
