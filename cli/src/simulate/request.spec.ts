import { simulationRequest, type SimulateOptions } from './request.js';

const usual: SimulateOptions = { preset: 'digits', trace: 'phones', alpha: 0.5, days: 30, seed: 1 };

describe('the request of a simulation', () => {
  it('takes the preset, a thousand phones and a tenth of them a round where nothing is said', () => {
    const request = simulationRequest(usual, undefined, 2);
    expect(request).toMatchObject({
      agents: 1000,
      rounds: 30,
      trace: { builtIn: 'phones' },
      policies: [{ kind: 'synchronous' }],
      processes: 2,
    });
    expect(request.task).toMatchObject({ cohort: { min: 50, goal: 100, max: 130 } });
  });

  it('takes a task of one’s own with its policy, and what the flags say of it', () => {
    const text = JSON.stringify({ kind: 'probe', rounds: 7, policy: { kind: 'semiSynchronous', maxStaleness: 3 } });
    expect(simulationRequest(usual, text, 2)).toMatchObject({
      rounds: 7,
      policies: [{ kind: 'semiSynchronous', maxStaleness: 3 }],
    });
    expect(simulationRequest({ ...usual, goal: 10, rounds: 2 }, text, 2)).toMatchObject({
      rounds: 2,
      task: { cohort: { min: 5, goal: 10, max: 13 } },
    });
  });

  it('asks for as many agents as a trace of one’s own has devices', () => {
    const request = simulationRequest({ ...usual, trace: 'fleet.csv' }, undefined, 2);
    expect(request.trace).toEqual({ file: 'fleet.csv' });
    expect(request.agents).toBeUndefined();
  });

  it('compares the policies that are named', () => {
    const { policies } = simulationRequest({ ...usual, compare: 'synchronous,bufferedAsynchronous' }, undefined, 2);
    expect(policies).toEqual([{ kind: 'synchronous' }, { kind: 'bufferedAsynchronous' }]);
  });

  it.each([
    [{ preset: 'faces' }, undefined, "there is no preset 'faces'"],
    [{ policy: 'eager' }, undefined, "there is no policy 'eager'; there are: synchronous"],
    [{ compare: 'synchronous,' }, undefined, "there is no policy ''"],
    [{}, '{', 'the task file is not JSON'],
    [{}, '[]', 'the task file holds no task'],
  ])('says what a flag takes where it is wrong: %j %j', (changes, text, message) => {
    expect(() => simulationRequest({ ...usual, ...changes }, text, 2)).toThrow(message);
  });
});
