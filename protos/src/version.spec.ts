/** Negotiation: the highest common version, or a refusal that names both ranges. */
import * as fc from 'fast-check';
import { negotiate, protocolRange } from './version.js';

describe('two sides', () => {
  test('of this code agree', () => {
    expect(negotiate(protocolRange, protocolRange)).toEqual({ agreed: true, version: protocolRange.max });
  });

  test.each([
    [
      { min: 3, max: 5 },
      { min: 1, max: 2 },
      'the coordinator speaks protocol 3 to 5, the agent 1 to 2: upgrade the agent',
    ],
    [{ min: 1, max: 1 }, { min: 2, max: 2 }, 'the coordinator speaks protocol 1, the agent 2: upgrade the coordinator'],
    [{ min: 1, max: 1 }, { min: 0, max: 0 }, 'the coordinator speaks protocol 1, the agent 0, which is no range'],
    [{ min: 1, max: 1 }, { min: 2, max: 1 }, 'the coordinator speaks protocol 1, the agent 2 to 1, which is no range'],
  ])('that speak %j and %j hear why not', (coordinator, agent, message) => {
    expect(negotiate(coordinator, agent)).toEqual({ agreed: false, message });
  });

  test('agree on the highest version that both speak, exactly when there is one', () => {
    const range = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(4)).map(([min, more]) => ({ min, max: min + more }));
    fc.assert(
      fc.property(range, range, (coordinator, agent) => {
        const both = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].filter((version) =>
          [coordinator, agent].every(({ min, max }) => version >= min && version <= max),
        );
        const answer = negotiate(coordinator, agent);
        expect(answer.agreed ? answer.version : undefined).toBe(both.at(-1));
      }),
    );
  });
});
