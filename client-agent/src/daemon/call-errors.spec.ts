import { connectionError, isOutOfStep, isTransient, isWorthRetrying } from './call-errors.js';

const failed = (code: number, details: string) => Object.assign(new Error(details), { code, details });

describe('a connection that fails', () => {
  it.each([
    [7, 'revoked', 'AGENT_REVOKED', false],
    [9, 'the coordinator speaks protocol 1, the agent 2', 'PROTOCOL_VERSION', false],
    [9, 'the clocks differ by 3600 s', 'CLOCK_SKEW', true],
    [16, 'no certificate', 'CERTIFICATE_INVALID', false],
    [14, 'draining', 'UNAVAILABLE', true],
    [10, 'another connection of this agent', 'UNAVAILABLE', true],
    [13, 'boom', 'UNAVAILABLE', true],
  ])('with status %i, %s, is %s', (code, details, expected, retry) => {
    const error = connectionError(failed(code, details), 'hub:1');
    expect(error.code).toBe(expected);
    expect(error.message).toContain(details);
    expect(isWorthRetrying(error)).toBe(retry);
  });

  it('says the cause below the sentence of the transport', () => {
    const details = 'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:9. Resolution note: ';
    expect(connectionError(failed(14, details), 'hub:9').message).toBe('hub:9: connect ECONNREFUSED 127.0.0.1:9');
  });
});

describe('a call that fails', () => {
  it('is made again where the connection or the load was to blame', () => {
    expect([1, 4, 8, 10, 13, 14].every((code) => isTransient(failed(code, '')))).toBe(true);
  });

  it('is not made again where it would fail again', () => {
    expect([3, 5, 7, 9, 11, 12, 15, 16].some((code) => isTransient(failed(code, '')))).toBe(false);
    expect(isTransient(new Error('a bug'))).toBe(false);
  });

  it('of an upload that is out of step asks where to go on', () => {
    expect([9, 15].every((code) => isOutOfStep(failed(code, '')))).toBe(true);
    expect(isOutOfStep(failed(14, ''))).toBe(false);
  });
});
