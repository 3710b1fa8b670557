import { limits } from '@graft/core/limits';

import { checkDeadline, checkSkew, readBase, readPipeline } from './plan.js';

const blob = { hash: 'a'.repeat(64), sizeBytes: 3 };
const pipeline = {
  preprocessing: '{"kind":"features","length":2}',
  tail: { graph: blob, weights: [blob] },
  labels: ['a', 'b'],
};
const base = { base: blob, baseEncoding: 'fp16', layoutHash: 'b'.repeat(64) };
const refused = (word: string) =>
  expect.objectContaining({ code: 'PLAN_REFUSED', message: expect.stringContaining(word) });

describe('a plan from the wire', () => {
  it('becomes a pipeline and a base', () => {
    expect(readPipeline(pipeline, 'pipeline')).toEqual({
      ...pipeline,
      preprocessing: { kind: 'features', length: 2 },
    });
    expect(readPipeline({ ...pipeline, trunk: null }, 'pipeline')).not.toHaveProperty('trunk');
    expect(readBase(base)).toEqual({ blob, encoding: 'fp16', layoutHash: base.layoutHash });
  });

  it.each([
    [null, 'no fp32'],
    [{ ...pipeline, preprocessing: '{' }, 'preprocessing is not JSON'],
    [{ ...pipeline, preprocessing: '{"kind":"sound"}' }, 'preprocessing'],
    [{ ...pipeline, tail: null }, 'tail'],
    [{ ...pipeline, tail: { graph: { hash: '../../etc/passwd', sizeBytes: 1 }, weights: [] } }, 'tail.graph.hash'],
    [{ ...pipeline, labels: [] }, 'labels'],
  ])('%j is refused with the field that is wrong', (wrong, word) => {
    expect(() => readPipeline(wrong, 'fp32')).toThrow(refused(word));
  });

  it.each([
    [{ base: null }, 'no base'],
    [{ base: { hash: '../x', sizeBytes: 1 } }, 'no base'],
    [{ baseEncoding: 'fp8' }, "'fp8'"],
    [{ layoutHash: '' }, 'layout hash'],
  ])('with a base of %j is refused', (change, word) => {
    expect(() => readBase({ ...base, ...change })).toThrow(refused(word));
  });

  it('is late on the clock of the coordinator, not on ours', () => {
    expect(() => checkDeadline(1_000, 1_500, -600)).not.toThrow();
    expect(() => checkDeadline(1_000, 1_500, 0)).toThrow(refused('500 ms ago'));
  });
});

describe('the clocks of both sides', () => {
  it('may differ up to the limit', () => {
    expect(() => checkSkew(limits.clockSkewMs)).not.toThrow();
  });

  it.each([
    [limits.clockSkewMs + 1, 'behind'],
    [-limits.clockSkewMs - 1, 'ahead of'],
  ])('that differ by %i ms say which is wrong', (skew, word) => {
    expect(() => checkSkew(skew)).toThrow(expect.objectContaining({ message: expect.stringContaining(word) }));
  });
});
