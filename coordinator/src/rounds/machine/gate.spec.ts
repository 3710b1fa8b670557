import { decideGate, type GateInput } from './gate.js';
import { measures } from './scenario.contract.js';

const input = (changes: Partial<GateInput> = {}): GateInput => ({
  margins: { margin: 0.01, worstSiteMargin: 0.05, int8Margin: 0.01 },
  central: measures(900, 1000, 895),
  sites: { a: measures(9, 10), b: measures(7, 10) },
  quantized: undefined,
  released: undefined,
  ...changes,
});

describe('the gate', () => {
  it('releases INT8 where it is within its margin of fp32', () => {
    const decision = decideGate(input());
    expect(decision).toMatchObject({ passed: true, precision: 'int8', kl: 0.01 });
    expect(decision.int8).toMatchObject({ accuracy: 0.895, worstSiteAccuracy: 0.7, worstSite: 'b' });
  });

  it('releases fp32 where INT8 lost more than its margin, and says so', () => {
    const decision = decideGate(input({ central: measures(900, 1000, 889) }));
    expect(decision).toMatchObject({ passed: true, precision: 'fp32' });
    expect(decision.checks).toEqual([
      {
        name: 'int8-accuracy',
        passed: false,
        value: 0.889,
        limit: 0.89,
        message: 'int8-accuracy is 0.8890, below 0.8900',
      },
    ]);
  });

  it('passes INT8 exactly at its margin', () => {
    expect(decideGate(input({ central: measures(900, 1000, 890) })).precision).toBe('int8');
  });

  it('releases fp32 where there is no INT8, with the reason', () => {
    const { int8: _, ...central } = measures(900, 1000);
    const decision = decideGate(input({ central, sites: {}, quantized: { none: 'no ranges arrived' } }));
    expect(decision).toMatchObject({ passed: true, precision: 'fp32', checks: [{ message: 'no ranges arrived' }] });
  });

  it('refuses a candidate that is worse than the release by more than the margin', () => {
    const decision = decideGate(input({ released: { releaseId: 'r', accuracy: 0.92 } }));
    expect(decision.passed).toBe(false);
    expect(decision.checks.at(-1)?.message).toBe('accuracy is 0.8950, below 0.9100');
  });

  it('refuses a candidate that fails the worst site although it is better overall', () => {
    const released = { releaseId: 'r', accuracy: 0.8, worstSiteAccuracy: 0.8 };
    const decision = decideGate(input({ released }));
    expect(decision.passed).toBe(false);
    expect(decision.checks.map(({ name, passed }) => [name, passed])).toEqual([
      ['int8-accuracy', true],
      ['accuracy', true],
      ['worst-site-accuracy', false],
    ]);
  });

  it('pools the sites by their examples where the coordinator holds none', () => {
    const decision = decideGate(input({ central: { none: 'no hold-out' } }));
    expect(decision.fp32).toMatchObject({ accuracy: 0.8, examples: 20, worstSiteAccuracy: 0.7 });
  });

  it('releases nothing that nobody measured', () => {
    expect(decideGate(input({ central: undefined, sites: {} }))).toMatchObject({
      passed: false,
      checks: [{ name: 'measured', passed: false }],
    });
  });

  it('leaves out a site without examples', () => {
    const decision = decideGate(input({ sites: { a: measures(9, 10), empty: measures(0, 0) } }));
    expect(decision.fp32?.worstSiteAccuracy).toBe(0.9);
  });
});
