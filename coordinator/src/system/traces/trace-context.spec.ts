import { assert, nat, property, string } from 'fast-check';

import { roundTraceparent } from '@graft/protos/trace/round-trace.adapter';

import { formatTraceparent, parseTraceparent } from './trace-context.js';

test('the example of the standard is read and written', () => {
  const text = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const context = parseTraceparent(text);
  expect(context).toEqual({ traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', isSampled: true });
  expect(context && formatTraceparent(context)).toBe(text);
});

test.each([
  ['', 'nothing'],
  ['00-00000000000000000000000000000000-00f067aa0ba902b7-01', 'a trace id of zeros'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', 'a span id of zeros'],
  ['ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'another version'],
  ['00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', 'capitals'],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more', 'something behind it'],
])('%j is refused: %s', (text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});

test('every round has a valid traceparent of its own, the same whoever asks', () => {
  assert(
    property(string(), nat(), (runId, round) => {
      const text = roundTraceparent(runId, round);
      expect(roundTraceparent(runId, round)).toBe(text);
      expect(roundTraceparent(runId, round + 1)).not.toBe(text);
      const context = parseTraceparent(text);
      expect(context && formatTraceparent(context)).toBe(text);
    }),
  );
});
