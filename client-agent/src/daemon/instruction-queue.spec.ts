import { cancel, emptyQueue, finish, offer, takeNext, type InstructionQueue, type Job } from './instruction-queue.js';

const train = (round: number, id = `train-${round}`): Job<string> => ({
  id,
  kind: 'train',
  runId: 'run',
  round,
  body: `plan ${round}`,
});
const install = (id: string): Job<string> => ({ id, kind: 'install', runId: '', round: 0, body: id });
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
    expect(offer(queue, train(1), nothing)).toEqual({ queue, decision: 'in-hand', abort: [] });
    expect(offer(queueOf(train(1)), train(1), nothing).queue.pending).toHaveLength(1);
  });

  it('whose result lies in the outbox is reported again, not worked on again', () => {
    const offered = offer<string>(emptyQueue, train(1), new Set(['train-1']));
    expect(offered).toEqual({ queue: emptyQueue, decision: 'report-again', abort: [] });
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
    expect(cancel(queueOf(train(1), train(2)), 'run', 2)).toEqual({ queue: queueOf(), abort: [] });
    const { queue } = takeNext(queueOf(train(1)), 'work');
    expect(cancel(queue, 'run', 1).abort).toEqual([train(1)]);
    expect(cancel(queue, 'run', 2).abort).toEqual([]);
  });
});
