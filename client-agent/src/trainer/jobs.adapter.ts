/** The trainer's table of jobs, over what stays loaded between them. */
import type { Runtime } from '@graft/models/runtime/runtime';

import { evaluate } from './evaluate-job.adapter.js';
import { Features } from './features-of.adapter.js';
import { fit } from './fit-job.adapter.js';
import { predict } from './predict-job.adapter.js';
import { probe } from './probe-job.adapter.js';
import { ResidentSessions } from './resident-sessions.adapter.js';
import { reportRuntime } from './runtime-job.adapter.js';
import { TrainingSteps } from './train-tail.adapter.js';
import type { TrainerJobs } from './serve.driver.js';
import { readSite, summaryOf } from './site-examples.adapter.js';

export function createJobs(runtime: Runtime): TrainerJobs {
  const sessions = new ResidentSessions(runtime);
  const steps = new TrainingSteps(runtime);
  const features = new Features(sessions);
  return {
    summary: async (places) => summaryOf(await readSite(places)),
    fit: (input, control) => fit(input, { runtime, steps, features, ...control }),
    probe,
    evaluate: (input, control) => evaluate(input, { sessions, features, ...control }),
    predict: (input) => predict(input, sessions),
    runtime: () => reportRuntime(runtime),
  };
}
