/** Faults that operations arm: what becomes of a call of the coordinator, to its store or over its network. */
import type { Op, When } from '../input.js';

export type Fate =
  | { readonly kind: 'done' }
  /** The coordinator dies at this call. */
  | { readonly kind: 'crash'; readonly when: When; readonly downMs: number }
  /** The call is refused, or done and its answer lost. */
  | { readonly kind: 'fails'; readonly when: When }
  | { readonly kind: 'disk-full' };

export interface Faults {
  arm(op: Extract<Op, { op: 'crash' | 'storeFails' }>): void;
  fillDisk(untilMs: number): void;
  diskIsFull(nowMs: number): boolean;
  failWork(work: string, times: number): void;
  /** True where this work has to fail, which uses one failure up. */
  takeWorkFailure(work: string): boolean;
  fateOf(at: 'store' | 'transport', nowMs: number, writes: boolean): Fate;
  calls(): Readonly<Record<'store' | 'transport', number>>;
  /** Nothing fails from now on. */
  end(): void;
}

const done: Fate = { kind: 'done' };

export function createFaults(): Faults {
  const calls = { store: 0, transport: 0 };
  let crashes: { at: 'store' | 'transport'; atCall: number; when: When; downMs: number }[] = [];
  let failures: { fromCall: number; times: number; when: When }[] = [];
  let diskFullUntilMs = -Infinity;
  const work = new Map<string, number>();

  function fateOf(at: 'store' | 'transport', nowMs: number, writes: boolean): Fate {
    calls[at] += 1;
    const call = calls[at];
    const crash = crashes.find((each) => each.at === at && each.atCall <= call);
    if (crash !== undefined) {
      crashes = crashes.filter((each) => each !== crash);
      return { kind: 'crash', when: crash.when, downMs: crash.downMs };
    }
    if (at === 'transport') return done;
    const failure = failures.find(({ fromCall }) => fromCall <= call);
    if (failure !== undefined) {
      failure.times -= 1;
      failures = failures.filter(({ times }) => times > 0);
      return { kind: 'fails', when: failure.when };
    }
    return writes && nowMs < diskFullUntilMs ? { kind: 'disk-full' } : done;
  }

  return {
    arm: (op) => {
      if (op.op === 'crash') {
        const { at, nth, when, downMs } = op;
        crashes.push({ at, atCall: calls[at] + nth, when, downMs });
      } else failures.push({ fromCall: calls.store + op.nth, times: op.times, when: op.when });
    },
    fillDisk: (untilMs) => (diskFullUntilMs = untilMs),
    diskIsFull: (nowMs) => nowMs < diskFullUntilMs,
    failWork: (name, times) => void work.set(name, times),
    takeWorkFailure: (name) => {
      const left = work.get(name) ?? 0;
      if (left > 0) work.set(name, left - 1);
      return left > 0;
    },
    fateOf,
    calls: () => calls,
    end: () => {
      crashes = [];
      failures = [];
      diskFullUntilMs = -Infinity;
      work.clear();
    },
  };
}
