import type { Model } from '../graph/graph.js';
import { cachedSessions } from './cached-sessions.js';
import type { Runtime } from './runtime.js';

const options = { threads: 1, purpose: 'training' } as const;

const model = (name: string): Model => ({
  graph: { name, inputs: [], outputs: [], weights: [], nodes: [] },
  weights: new Map(),
});

/** Counts what is loaded and disposed, by the graph's name. */
function countingRuntime() {
  const [loaded, disposed]: [string[], string[]] = [[], []];
  const runtime: Runtime = {
    name: 'counting',
    load: ({ graph: { name } }) => {
      loaded.push(name);
      if (name === 'broken') return Promise.reject(new Error('does not load'));
      return Promise.resolve({
        run: () => Promise.resolve({}),
        dispose: () => {
          disposed.push(name);
          return Promise.resolve();
        },
      });
    },
  };
  const cached = cachedSessions(runtime, { limit: 2, keyOf: ({ graph }) => graph.name });
  return { cached, loaded, disposed };
}

describe('cached sessions', () => {
  it('load an equal model once, also for two who ask at the same time', async () => {
    const { cached, loaded, disposed } = countingRuntime();
    const [first, second] = await Promise.all([cached.load(model('a'), options), cached.load(model('a'), options)]);
    await first.dispose();
    await second.dispose();
    await cached.load(model('a'), options);
    expect(loaded).toEqual(['a']);
    expect(disposed).toEqual([]);
  });

  it('differ by options', async () => {
    const { cached, loaded } = countingRuntime();
    await cached.load(model('a'), options);
    await cached.load(model('a'), { ...options, threads: 2 });
    expect(loaded).toEqual(['a', 'a']);
  });

  it('beyond the limit leave the memory, those longest unused first, and never while one is in use', async () => {
    const { cached, disposed } = countingRuntime();
    const inUse = await cached.load(model('in use'), options);
    for (const name of ['a', 'b', 'a', 'c']) await (await cached.load(model(name), options)).dispose();
    expect(disposed).toEqual(['b']);
    await inUse.dispose();
    await inUse.dispose();
    expect(disposed).toEqual(['b', 'in use']);
    await cached.clear();
    expect(disposed.toSorted()).toEqual(['a', 'b', 'c', 'in use']);
  });

  it('of a model that does not load are not kept', async () => {
    const { cached, loaded } = countingRuntime();
    await expect(cached.load(model('broken'), options)).rejects.toThrow('does not load');
    await expect(cached.load(model('broken'), options)).rejects.toThrow('does not load');
    expect(loaded).toEqual(['broken', 'broken']);
  });
});
