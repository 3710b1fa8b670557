/**
 * What an agent does with the instructions it is sent. Each has an id and may come again after every reconnection:
 * doing one twice must change nothing. Two lanes work side by side: 'work' trains and evaluates, 'install' installs.
 */

export type Lane = 'work' | 'install';

export interface Job<Body> {
  /** The instruction's id. */
  readonly id: string;
  readonly kind: 'train' | 'evaluate' | 'install';
  /** Empty for an install. */
  readonly runId: string;
  readonly round: number;
  readonly body: Body;
}

export interface InstructionQueue<Body> {
  readonly pending: readonly Job<Body>[];
  /** At most one a lane. */
  readonly inHand: readonly Job<Body>[];
}

export const emptyQueue: InstructionQueue<never> = { pending: [], inHand: [] };

/** What became of an instruction that was offered. */
export type Decision =
  /** New: it waits for its lane. */
  | 'queued'
  /** The same instruction is being worked on or waits already: it goes on. */
  | 'in-hand'
  /** Its result lies in the outbox: report that again, do nothing twice. */
  | 'report-again';

export interface Offered<Body> {
  readonly queue: InstructionQueue<Body>;
  readonly decision: Decision;
  /** Jobs in hand that the new one makes pointless: end them. */
  readonly abort: readonly Job<Body>[];
}

export function laneOf(job: Pick<Job<unknown>, 'kind'>): Lane {
  return job.kind === 'install' ? 'install' : 'work';
}

/**
 * Takes an instruction. An earlier round's work of the same run is dropped, for the coordinator has moved on;
 * so is an install that has not begun when a newer one arrives.
 * @param finished ids whose results lie in the outbox
 */
export function offer<Body>(
  queue: InstructionQueue<Body>,
  job: Job<Body>,
  finished: ReadonlySet<string>,
): Offered<Body> {
  if (finished.has(job.id)) return { queue, decision: 'report-again', abort: [] };
  if ([...queue.inHand, ...queue.pending].some(({ id }) => id === job.id)) {
    return { queue, decision: 'in-hand', abort: [] };
  }
  const isStale = (other: Job<Body>): boolean =>
    laneOf(other) === 'work' && laneOf(job) === 'work' && other.runId === job.runId && other.round < job.round;
  const isSuperseded = (other: Job<Body>): boolean =>
    isStale(other) || (other.kind === 'install' && job.kind === 'install');
  return {
    queue: { ...queue, pending: [...queue.pending.filter((other) => !isSuperseded(other)), job] },
    decision: 'queued',
    abort: queue.inHand.filter(isStale),
  };
}

/** The next job of a lane, taken in hand; none while the lane is busy. */
export function takeNext<Body>(
  queue: InstructionQueue<Body>,
  lane: Lane,
): { readonly queue: InstructionQueue<Body>; readonly job: Job<Body> | undefined } {
  const isBusy = queue.inHand.some((job) => laneOf(job) === lane);
  const job = isBusy ? undefined : queue.pending.find((other) => laneOf(other) === lane);
  if (job === undefined) return { queue, job };
  return { queue: { pending: queue.pending.filter((other) => other !== job), inHand: [...queue.inHand, job] }, job };
}

/** The job is over, whatever its end. */
export function finish<Body>(queue: InstructionQueue<Body>, id: string): InstructionQueue<Body> {
  return { ...queue, inHand: queue.inHand.filter((job) => job.id !== id) };
}

/** The coordinator no longer wants what a round asked for. */
export function cancel<Body>(
  queue: InstructionQueue<Body>,
  runId: string,
  round: number,
): { readonly queue: InstructionQueue<Body>; readonly abort: readonly Job<Body>[] } {
  const isMeant = (job: Job<Body>): boolean => laneOf(job) === 'work' && job.runId === runId && job.round === round;
  return {
    queue: { ...queue, pending: queue.pending.filter((job) => !isMeant(job)) },
    abort: queue.inHand.filter(isMeant),
  };
}
