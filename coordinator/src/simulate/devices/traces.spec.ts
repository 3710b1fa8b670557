import * as fc from 'fast-check';

import { builtInDevices, builtInTraces } from './built-in-traces.js';
import { deviceSchema } from './device.js';
import { parseTrace } from './trace-file.js';

const header = 'examplesPerSecond,downBytesPerSecond,upBytesPerSecond,availability,exampleCount,dropOut,timeZoneHours';
const hours = Array.from({ length: 24 }, (_, hour) => hour / 24);

describe('built-in traces', () => {
  it('hold devices that the schema takes, the same for the same seed and place', () => {
    fc.assert(
      fc.property(fc.constantFrom(...builtInTraces), fc.nat(), (trace, seed) => {
        const devices = builtInDevices(trace, 20, seed);
        for (const device of devices) expect(deviceSchema.parse(device)).toEqual(device);
        expect(builtInDevices(trace, 5, seed)).toEqual(devices.slice(0, 5));
      }),
      { numRuns: 20 },
    );
  });

  it('have phones that differ by an order of magnitude, and hospitals that are alike', () => {
    const spread = (trace: (typeof builtInTraces)[number]): number => {
      const speeds = builtInDevices(trace, 1000, 1).map(({ examplesPerSecond }) => examplesPerSecond);
      speeds.sort((a, b) => a - b);
      return (speeds[950] ?? 0) / (speeds[50] ?? 1);
    };
    expect(spread('phones')).toBeGreaterThan(10);
    expect(spread('hospitals')).toBeLessThan(6);
  });
});

describe('a trace of one’s own', () => {
  it('is read from CSV, with one availability or 24', () => {
    const [all, night] = parseTrace(
      `${header}\n10,2e6,1e6,0.5,100,0.1,2\r\n\n20,2e6,1e6,${hours.join(';')},50,,\n`,
      'fleet.csv',
    );
    expect(all).toEqual({
      examplesPerSecond: 10,
      downBytesPerSecond: 2e6,
      upBytesPerSecond: 1e6,
      availability: Array.from({ length: 24 }, () => 0.5),
      exampleCount: 100,
      dropOut: 0.1,
      timeZoneHours: 2,
    });
    expect(night).toMatchObject({ availability: hours, dropOut: 0, timeZoneHours: 0 });
  });

  it('is the same in JSON', () => {
    const devices = builtInDevices('hospitals', 3, 1);
    expect(parseTrace(JSON.stringify(devices), 'fleet.json')).toEqual(devices);
  });

  it.each([
    ['', 'holds no device'],
    ['[]', 'holds no device'],
    ['[1', 'is not JSON'],
    ['{"devices": []}', 'no array of devices'],
    ['speed,colour\n1,2', "line 1 is no header: 'speed'"],
    [`${header}\n1,2,3`, 'line 2 has 3 fields, the header has 7'],
    [`${header}\n-1,2e6,1e6,0.5,100,0.1,2`, 'line 2: examplesPerSecond'],
    [`${header}\nfast,2e6,1e6,0.5,100,0.1,2`, 'line 2: examplesPerSecond'],
    [`${header}\n1,2e6,1e6,0.5;0.6,100,0.1,2`, 'one number for each of 24 hours'],
    [`${header}\n1,2e6,1e6,1.5,100,0.1,2`, 'line 2: availability'],
    ['[{"examplesPerSecond": 1}]', 'device 1: '],
  ])('of the wrong shape is refused with the place of the mistake: %j', (text, message) => {
    expect(() => parseTrace(text, 'fleet')).toThrow(message);
    expect(() => parseTrace(text, 'fleet')).toThrow(expect.objectContaining({ code: 'TRACE_INVALID' }));
  });

  it('never fails with another error, whatever the file holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseTrace(text, 'fleet');
        } catch (error) {
          expect(error).toMatchObject({ code: 'TRACE_INVALID' });
        }
      }),
    );
  });
});
