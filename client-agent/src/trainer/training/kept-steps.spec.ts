import type { StepSource } from '@graft/models/training/step-source';

import { KeptSteps, type LoadedStep } from './kept-steps.js';

/** Steps that note their name when they leave the memory. */
function noted() {
  const gone: string[] = [];
  const load = (name: string) => (): Promise<LoadedStep> => {
    const steps: Pick<StepSource, 'dispose'> = {
      dispose: () => {
        gone.push(name);
        return Promise.resolve();
      },
    };
    return Promise.resolve({ steps: steps as StepSource });
  };
  return { gone, load };
}

const nothing = (): Promise<void> => Promise.resolve();

describe('training graphs that stay loaded', () => {
  it('leave the memory when they are longest unused', async () => {
    const { gone, load } = noted();
    const kept = new KeptSteps(2);
    for (const name of ['a', 'b', 'a', 'c']) await kept.using(name, load(name), nothing);
    expect(gone).toEqual(['b']);
    const again = await kept.using('a', load('a anew'), (step) => Promise.resolve(step));
    const same = await kept.using('a', load('a anew'), (step) => Promise.resolve(step));
    expect(again).toBe(same);
  });

  it('stay for as long as a training uses them, and go after it', async () => {
    const { gone, load } = noted();
    const kept = new KeptSteps(0);
    await kept.using('a', load('a'), async () => {
      await kept.using('b', load('b'), nothing);
      await kept.using('a', load('a anew'), nothing);
      expect(gone).toEqual(['b']);
    });
    expect(gone).toEqual(['b', 'a']);
  });

  it('are loaded again after a failure', async () => {
    const { load } = noted();
    const kept = new KeptSteps(2);
    await expect(kept.using('a', () => Promise.reject(new Error('no memory')), nothing)).rejects.toThrow('no memory');
    await expect(kept.using('a', load('a'), () => Promise.resolve('used'))).resolves.toBe('used');
  });

  it('stay after a training that failed', async () => {
    const { gone, load } = noted();
    const kept = new KeptSteps(1);
    await expect(kept.using('a', load('a'), () => Promise.reject(new Error('diverged')))).rejects.toThrow('diverged');
    await kept.using('a', load('a anew'), nothing);
    expect(gone).toEqual([]);
  });
});
