import {
  cancel,
  emptyQueue,
  finish,
  inOrder,
  offer,
  takeNext,
  type InstructionQueue,
  type Job,
} from './instruction-queue.js';

const train = (round: number, id = `train-${round}`): Job<string> => ({
  id,
  kind: 'train',
  runId: 'run',
  round,
  priority: 0,
  task: 'task',
  body: `plan ${round}`,
});
const install = (id: string): Job<string> => ({
  id,
  kind: 'install',
  runId: '',
  round: 0,
  priority: 0,
  task: '',
  body: id,
});
const nothing: ReadonlySet<string> = new Set();

const queueOf = (...jobs: readonly Job<string>[]): InstructionQueue<string> =>
  jobs.reduce<InstructionQueue<string>>((queue, job) => offer(queue, job, nothing).queue, emptyQueue);

describe('an instruction', () => {
  it('that is new waits and is then taken in hand', () => {
    const taken = takeNext(queueOf(train(1)), 'work');
    expect(taken.job?.body).toBe('plan 1');
    expect(taken.queue).toEqual({ pending: [], inHand: [train(1)] });
  });

  it('that comes again goes on, and is not started anew', () => {
    const { queue } = takeNext(queueOf(train(1)), 'work');
    expect(offer(queue, train(1), nothing)).toEqual({ queue, decision: 'in-hand', abort: [], dropped: [] });
    expect(offer(queueOf(train(1)), train(1), nothing).queue.pending).toHaveLength(1);
  });

  it('whose result lies in the outbox is reported again, not worked on again', () => {
    const offered = offer<string>(emptyQueue, train(1), new Set(['train-1']));
    expect(offered).toEqual({ queue: emptyQueue, decision: 'report-again', abort: [], dropped: [] });
  });

  it('of a later round ends the work of an earlier one', () => {
    const { queue } = takeNext(queueOf(train(1)), 'work');
    const offered = offer(queue, train(2), nothing);
    expect(offered.abort).toEqual([train(1)]);
    expect(takeNext(finish(offered.queue, 'train-1'), 'work').job).toEqual(train(2));
  });

  it('of an earlier round of another run stays', () => {
    const other = { ...train(1), id: 'other', runId: 'other run' };
    expect(queueOf(other, train(2)).pending).toEqual([other, train(2)]);
  });

  it('waits while its lane is busy, and passes the other lane', () => {
    const { queue } = takeNext(queueOf(train(1), install('a')), 'work');
    expect(takeNext(queue, 'work').job).toBeUndefined();
    expect(takeNext(queue, 'install').job).toEqual(install('a'));
  });

  it('to install makes an earlier one that has not begun pointless', () => {
    expect(queueOf(install('a'), install('b')).pending).toEqual([install('b')]);
  });

  it('that is cancelled is dropped, or ended where it is in hand', () => {
    expect(cancel(queueOf(train(2)), 'run', 2)).toEqual({ queue: queueOf(), abort: [], dropped: [train(2)] });
    const { queue } = takeNext(queueOf(train(1)), 'work');
    expect(cancel(queue, 'run', 1).abort).toEqual([train(1)]);
    expect(cancel(queue, 'run', 2).abort).toEqual([]);
  });

  it('that waits and comes again says when its work is due now', () => {
    const later = { ...train(1), body: 'plan 1 with a later deadline' };
    expect(offer(queueOf(train(1)), later, nothing).queue.pending).toEqual([later]);
  });

  it('of a later round names the waiting work that it makes pointless', () => {
    const offered = offer(queueOf(train(1)), train(2), nothing);
    expect(offered).toMatchObject({ abort: [], dropped: [train(1)] });
  });
});

describe('work of several tasks', () => {
  const of = (runId: string, priority: number): Job<string> => ({ ...train(1, runId), runId, priority });

  it('goes by priority, the older first where two have the same', () => {
    const queue = queueOf(of('a', 1), of('b', 5), of('c', 5), of('d', 0));
    expect(inOrder(queue).map(({ id }) => id)).toEqual(['b', 'c', 'a', 'd']);
    expect(takeNext(queue, 'work').job?.id).toBe('b');
  });

  it('is in hand at once as often as is allowed, and no more often', () => {
    const first = takeNext(queueOf(of('a', 0), of('b', 0), of('c', 0)), 'work', 2);
    const second = takeNext(first.queue, 'work', 2);
    expect([first.job?.id, second.job?.id]).toEqual(['a', 'b']);
    expect(takeNext(second.queue, 'work', 2).job).toBeUndefined();
    expect(takeNext(finish(second.queue, 'a'), 'work', 2).job?.id).toBe('c');
  });

  it('does not wait for an urgent one that comes while it is in hand', () => {
    const { queue } = takeNext(queueOf(of('a', 0)), 'work');
    const offered = offer(queue, of('urgent', 9), nothing);
    expect(offered.abort).toEqual([]);
    expect(offered.queue.inHand.map(({ id }) => id)).toEqual(['a']);
  });
});
