/** How long one step of a training takes on this machine: two are run and thrown away, the second counts. */
import { performance } from 'node:perf_hooks';

import { trainWith, type Learning, type Trainee } from '@graft/models/training/training-session';

const trialSteps = 2;

/** Ends a trial. */
class Enough extends Error {}

/** Milliseconds. The weights of the trainee stay as they are. Throws what training throws. */
export async function stepMs(trainee: Trainee, learning: Learning): Promise<number> {
  let [beganAtMs, ms] = [performance.now(), 0];
  try {
    await trainWith(trainee, learning, {
      betweenRuns: ({ step }) => {
        const nowMs = performance.now();
        ms = nowMs - beganAtMs;
        beganAtMs = nowMs;
        if (step === trialSteps) throw new Enough();
      },
    });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return ms;
}
