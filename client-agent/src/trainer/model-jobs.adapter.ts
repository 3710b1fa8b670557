/** The jobs that run models, over what stays loaded between them. */
import type { Lowering } from '@graft/models/operators/lowering';
import type { Runtime } from '@graft/models/runtime/runtime';

import { evaluate } from './evaluate-job.adapter.js';
import { FeatureReader } from './examples/site-features.adapter.js';
import { fit } from './fit-job.adapter.js';
import type { ModelJobs } from './jobs.adapter.js';
import { predict } from './predict-job.adapter.js';
import { ResidentSessions } from './resident-sessions.adapter.js';
import { reportRuntime } from './runtime-job.adapter.js';
import { TrainingSteps } from './training/train-tail.adapter.js';

/** @param lowering of training graphs on this machine; standard operators where it is left out */
export function createModelJobs(runtime: Runtime, lowering?: () => Promise<Lowering>): ModelJobs {
  const sessions = new ResidentSessions(runtime);
  const features = new FeatureReader(sessions);
  const steps = new TrainingSteps(runtime, lowering);
  return {
    fit: (input, control) => fit(input, { runtime, steps, features, ...control }),
    evaluate: (input, control) => evaluate(input, { sessions, features, ...control }),
    predict: (input) => predict(input, sessions),
    runtime: () => reportRuntime(runtime),
  };
}
