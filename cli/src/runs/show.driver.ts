/** Shows something once, or again and again until it is over: a screen that is drawn anew, lines in a pipe, objects with --json. */
import { setTimeout as sleep } from 'node:timers/promises';

import { GraftError } from '@graft/core/error';

import type { Output } from '../output/output.js';

/** What there is to see at one moment. */
export interface Look {
  readonly data: object;
  /** @param width cells of a line */
  lines(width: number): readonly string[];
  readonly isOver: boolean;
}

const everyMs = 1_000;
/** A coordinator that restarts is waited for so long. */
const patienceMs = 60_000;

/** Throws what `look` throws; while it is watched, what may be asked again is asked again for a minute. */
export async function show(output: Output, look: () => Promise<Look>, isWatched: boolean): Promise<void> {
  const first = await look();
  if (!isWatched) {
    output.result(first.data, first.lines(output.width));
    return;
  }
  let shown = '';
  let awayMs = 0;
  for (let current: Look | undefined = first; ;) {
    if (current !== undefined) {
      const text = JSON.stringify(current.data);
      const isNew = text !== shown;
      shown = text;
      if (output.json && isNew) output.event(current.data, '');
      else if (!output.json) output.screen(current.lines(output.width), isNew);
      if (current.isOver) return;
    }
    await sleep(everyMs);
    try {
      current = await look();
      awayMs = 0;
    } catch (error) {
      if (!(error instanceof GraftError && error.row.retryable) || awayMs >= patienceMs) throw error;
      awayMs += everyMs;
      current = undefined;
    }
  }
}
