/** What an agent is told of a task. */
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';

import { newRun } from './machine/machine.js';
import { checkpoint } from './machine/scenario.contract.js';
import { trainPlan } from './plans.js';
import { runPlan } from './run-plan.js';

const planned = (transfers?: object) => {
  const spec = taskSpecSchema.parse({
    name: 'probe',
    kind: 'probe',
    parameters: 1,
    add: 1,
    rounds: 1,
    cohort: { min: 1, goal: 1, max: 1 },
    windowMs: 1000,
    ...(transfers && { transfers }),
  });
  const state = newRun(runPlan(spec, { runId: 'r', taskId: 't', seed: 1 }), checkpoint(0), { atMs: 0 });
  const key = { publicKey: new Uint8Array(32), signature: new Uint8Array(64) };
  return trainPlan(state, { kind: 'probe', taskId: 't', layoutHash: 'h', parameterCount: 1, add: 1 }, key, {
    agentId: 'a',
    deadlineMs: 1,
  });
};

test('the rates of a task reach the agent with its plan', () => {
  const rates = { maxUploadBytesPerS: 20_000, maxDownloadBytesPerS: 30_000 };
  expect(planned(rates)).toMatchObject(rates);
  expect(planned()).not.toHaveProperty('maxUploadBytesPerS');
});
