import { Throughput } from './throughput.js';

describe('the throughput of a training', () => {
  it('is the examples over the time', () => {
    const throughput = new Throughput(1_000);
    expect(throughput.examplesPerSecond()).toBeUndefined();
    for (let i = 1; i <= 5; i++) throughput.add(32, 1_000 + i * 100);
    expect(throughput.examplesPerSecond()).toBeCloseTo(320, 6);
    expect(throughput.remainingMs(3_200)).toBeCloseTo(10_000, 3);
  });

  it('does not count a pause', () => {
    const throughput = new Throughput(0);
    throughput.add(100, 1_000);
    throughput.skip(60_000);
    throughput.add(100, 61_000);
    expect(throughput.examplesPerSecond()).toBeCloseTo(100, 6);
  });

  it('follows a machine that becomes slower', () => {
    const throughput = new Throughput(0);
    for (let i = 1; i <= 100; i++) throughput.add(10, i * 100);
    for (let i = 1; i <= 100; i++) throughput.add(10, 10_000 + i * 1_000);
    expect(throughput.examplesPerSecond()).toBeGreaterThan(9.9);
    expect(throughput.examplesPerSecond()).toBeLessThan(11);
  });
});
