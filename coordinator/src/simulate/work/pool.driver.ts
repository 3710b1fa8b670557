/** The processes that do a simulation's work: as many as cores, what is due first goes first, what is withdrawn before it began is left out. */
import type { Measures } from '@graft/models/evaluate/measures';

import { callHost, processChannel, type CallHost } from '../../compute/call-host.driver.js';
import type { Logger } from '../../rounds/rounds.js';
import { eventQueue } from '../event-queue.js';
import type { Beginning, MeasureRequest, SimulatedWork, TrainAnswer, TrainRequest } from './simulated-work.js';

export interface Pool extends SimulatedWork {
  close(): Promise<void>;
}

interface Call {
  readonly name: string;
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
  withdrawn: boolean;
}

/** Before everything that is due at any time. */
const atOnce = -1;

/** @param args the folder of the blobs, and the file that says what is simulated */
export function startPool(processes: number, args: readonly string[], logger: Logger): Pool {
  const file = new URL('./laboratory.main.js', import.meta.url);
  const start = (index: number): CallHost =>
    callHost(`process ${index + 1} of the pool`, () => processChannel(file, args), logger);
  const all = Array.from({ length: processes }, (_, index) => start(index));
  const idle = [...all];
  const waiting = eventQueue<Call>();

  const work = (): void => {
    while (idle.length > 0) {
      const call = waiting.take()?.value;
      if (call === undefined) return;
      if (call.withdrawn) continue;
      const host = idle.pop();
      if (host === undefined) return;
      void host
        .call(call.name, call.input)
        .then(call.resolve, call.reject)
        .finally(() => {
          idle.push(host);
          work();
        });
    }
  };

  const ask = (
    name: string,
    input: unknown,
    dueMs: number,
  ): { readonly answer: Promise<unknown>; readonly withdraw: () => void } => {
    let withdraw = (): void => undefined;
    const answer = new Promise<unknown>((resolve, reject) => {
      const call: Call = { name, input, resolve, reject, withdrawn: false };
      withdraw = () => (call.withdrawn = true);
      waiting.add(dueMs, call);
    });
    // Whoever withdraws does not wait for the answer; a failure is told to those who do.
    answer.catch(() => undefined);
    work();
    return { answer, withdraw };
  };

  return {
    begin: () => ask('begin', undefined, atOnce).answer as Promise<Beginning>,
    measure: (request: MeasureRequest) => ask('measure', request, atOnce).answer as Promise<readonly Measures[]>,
    train: (request: TrainRequest, dueMs) => {
      const { answer, withdraw } = ask('train', request, dueMs);
      return { answer: answer as Promise<TrainAnswer>, withdraw };
    },
    close: async () => {
      await Promise.all(all.map((host) => host.close()));
    },
  };
}
