import { tensor } from '@graft/core/tensor';

import { balancedClassWeights, classCounts, emptyClasses } from './class-weights.js';
import { bindInputs, stackExamples } from './example-tensors.js';
import { prefetch } from './prefetch.js';

describe('a batch', () => {
  const example = (n: number) => ({
    input_ids: tensor('int64', [2], BigInt64Array.of(BigInt(n), 7n)),
    weight: tensor('float32', [], Float32Array.of(n / 2)),
  });

  it('has every tensor of its examples, one row each', () => {
    expect(stackExamples([example(1), example(2)])).toEqual({
      input_ids: { dtype: 'int64', shape: [2, 2], data: BigInt64Array.of(1n, 7n, 2n, 7n) },
      weight: { dtype: 'float32', shape: [2], data: Float32Array.of(0.5, 1) },
    });
  });

  it('of examples of different shapes, types or names is a mistake', () => {
    const wide = { ...example(2), input_ids: tensor('int64', [3], new BigInt64Array(3)) };
    const typed = { ...example(2), input_ids: tensor('int32', [2], new Int32Array(2)) };
    const { weight } = example(2);
    for (const other of [wide, typed, { weight }]) {
      expect(() => stackExamples([example(1), other])).toThrow(RangeError);
    }
    expect(() => stackExamples([])).toThrow('no examples');
  });

  it('of one tensor goes to the only input, whatever its name; several go by name', () => {
    const x = tensor('float32', [1, 1], new Float32Array(1));
    expect(bindInputs([{ name: 'pixels' }], { x })).toEqual({ pixels: x });
    expect(bindInputs([{ name: 'b' }, { name: 'a' }], { a: x, b: x })).toEqual({ a: x, b: x });
  });

  it('that does not fit the inputs is unsuitable, and both are named', () => {
    const x = tensor('float32', [1, 1], new Float32Array(1));
    expect(() => bindInputs([{ name: 'input_ids' }, { name: 'attention_mask' }], { input_ids: x })).toThrow(
      expect.objectContaining({
        code: 'DATA_UNSUITABLE',
        message: expect.stringContaining('takes input_ids, attention_mask, an example is input_ids'),
      }),
    );
    expect(() => bindInputs([{ name: 'x' }], { a: x, b: x })).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE' }),
    );
  });
});

describe('work that is started ahead', () => {
  const gathered = async <T>(values: AsyncIterable<T>): Promise<T[]> => {
    const all: T[] = [];
    for await (const value of values) all.push(value);
    return all;
  };

  it('comes in its order, and no more is under way than was said', async () => {
    let running = 0;
    let most = 0;
    const tasks = Array.from({ length: 12 }, (_, i) => async () => {
      running += 1;
      most = Math.max(most, running);
      for (let turn = 0; turn < (i * 5) % 7; turn++) await Promise.resolve();
      running -= 1;
      return i;
    });
    expect(await gathered(prefetch(tasks, 3))).toEqual(tasks.map((_, i) => i));
    expect(most).toBe(3);
  });

  it('ends with the first failure in order, after what was started is done', async () => {
    const done: number[] = [];
    const tasks = [0, 1, 2, 3].map((i) => async () => {
      await Promise.resolve();
      done.push(i);
      if (i === 1) throw new Error('row 1');
      return i;
    });
    await expect(gathered(prefetch(tasks, 2))).rejects.toThrow('row 1');
    expect(done).not.toContain(3);
  });

  it('stops where nobody wants more', async () => {
    let started = 0;
    function* endless(): Generator<() => Promise<number>> {
      for (;;) yield () => Promise.resolve((started += 1));
    }
    for await (const value of prefetch(endless(), 2)) if (value === 3) break;
    expect(started).toBeLessThanOrEqual(5);
  });
});

describe('weights of classes', () => {
  const labels = Int32Array.of(0, 0, 0, 0, 0, 0, 1, 1, 3);

  it('are N / (C n) over the classes that there are, and sum to N over the examples', () => {
    const weights = balancedClassWeights(labels, 4);
    expect([...weights]).toEqual([0.5, 1.5, 0, 3]);
    expect(labels.reduce((sum, label) => sum + (weights[label] ?? 0), 0)).toBe(labels.length);
  });

  it('are refused where a label is out of range, with the example', () => {
    expect(() => classCounts(Int32Array.of(0, 4), 4)).toThrow(
      expect.objectContaining({ code: 'DATA_UNSUITABLE', message: expect.stringContaining('label 4 of example 1') }),
    );
    expect(() => classCounts(Int32Array.of(-1), 4)).toThrow(expect.objectContaining({ code: 'DATA_UNSUITABLE' }));
  });

  it('have empty classes that are named, or refused where the task says so', () => {
    expect(emptyClasses(labels, ['a', 'b', 'c', 'd'], 'warn')).toEqual(['c']);
    expect(emptyClasses(Int32Array.of(0, 1), ['a', 'b'], 'refuse')).toEqual([]);
    expect(() => emptyClasses(labels, ['a', 'b', 'c', 'd'], 'refuse')).toThrow(
      expect.objectContaining({
        code: 'CLASS_EMPTY',
        message: expect.stringContaining('1 of 4 classes have no example: c'),
      }),
    );
  });
});
