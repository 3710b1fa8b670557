/**
 * What an agent does with the instructions it is sent. Each has an id and may come again after every reconnection:
 * doing one twice must change nothing. Two lanes work side by side: 'work' trains and evaluates, 'install' installs.
 * What waits in a lane goes by priority, the older first where two have the same.
 */

export type Lane = 'work' | 'install';

export interface Job<Body> {
  /** The instruction's id. */
  readonly id: string;
  readonly kind: 'train' | 'evaluate' | 'install';
  /** Empty for an install. */
  readonly runId: string;
  readonly round: number;
  /** Higher goes first. */
  readonly priority: number;
  /** Name of the task; empty where the coordinator named none. */
  readonly task: string;
  readonly body: Body;
}

export interface InstructionQueue<Body> {
  /** In the order in which they came. */
  readonly pending: readonly Job<Body>[];
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
  /** Jobs that waited and that the new one makes pointless: they are no longer in the queue. */
  readonly dropped: readonly Job<Body>[];
}

export function laneOf(job: Pick<Job<unknown>, 'kind'>): Lane {
  return job.kind === 'install' ? 'install' : 'work';
}

/**
 * Takes an instruction. An earlier round's work of the same run is dropped, for the coordinator has moved on;
 * so is an install that has not begun when a newer one arrives. One that waits already takes over what the new one says:
 * its deadline may have moved.
 * @param finished ids whose results lie in the outbox
 */
export function offer<Body>(
  queue: InstructionQueue<Body>,
  job: Job<Body>,
  finished: ReadonlySet<string>,
): Offered<Body> {
  const nothing = { abort: [], dropped: [] };
  if (finished.has(job.id)) return { queue, decision: 'report-again', ...nothing };
  if (queue.inHand.some(({ id }) => id === job.id)) return { queue, decision: 'in-hand', ...nothing };
  if (queue.pending.some(({ id }) => id === job.id)) {
    const pending = queue.pending.map((other) => (other.id === job.id ? job : other));
    return { queue: { ...queue, pending }, decision: 'in-hand', ...nothing };
  }
  const isSuperseded = (other: Job<Body>): boolean =>
    isStale(other, job) || (other.kind === 'install' && job.kind === 'install');
  return {
    queue: { ...queue, pending: [...queue.pending.filter((other) => !isSuperseded(other)), job] },
    decision: 'queued',
    abort: queue.inHand.filter((other) => isStale(other, job)),
    dropped: queue.pending.filter(isSuperseded),
  };
}

/** Whether work is of an earlier round of the run than a job that has come. */
export function isStale(
  other: Pick<Job<unknown>, 'kind' | 'runId' | 'round'>,
  job: Pick<Job<unknown>, 'kind' | 'runId' | 'round'>,
): boolean {
  return laneOf(other) === 'work' && laneOf(job) === 'work' && other.runId === job.runId && other.round < job.round;
}

/**
 * The next job of a lane, taken in hand; none while as many are in hand as may be.
 * @param most jobs of the lane at once
 */
export function takeNext<Body>(
  queue: InstructionQueue<Body>,
  lane: Lane,
  most = 1,
): { readonly queue: InstructionQueue<Body>; readonly job: Job<Body> | undefined } {
  const isBusy = queue.inHand.filter((job) => laneOf(job) === lane).length >= most;
  const [job] = isBusy ? [] : inOrder(queue).filter((other) => laneOf(other) === lane);
  if (job === undefined) return { queue, job };
  return { queue: { pending: queue.pending.filter((other) => other !== job), inHand: [...queue.inHand, job] }, job };
}

/** What waits, in the order in which it will be done. */
export function inOrder<Body>({ pending }: InstructionQueue<Body>): readonly Job<Body>[] {
  // Sorting keeps the order of equals: the older stays before the younger.
  return [...pending].sort((a, b) => b.priority - a.priority);
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
): {
  readonly queue: InstructionQueue<Body>;
  readonly abort: readonly Job<Body>[];
  /** Jobs that waited: they are no longer in the queue. */
  readonly dropped: readonly Job<Body>[];
} {
  const isMeant = (job: Job<Body>): boolean => laneOf(job) === 'work' && job.runId === runId && job.round === round;
  return {
    queue: { ...queue, pending: queue.pending.filter((job) => !isMeant(job)) },
    abort: queue.inHand.filter(isMeant),
    dropped: queue.pending.filter(isMeant),
  };
}
