/** The jobs that run models, over what stays loaded between them. */
import { standardLowering } from '@graft/models/operators/lowering';
import type { Runtime } from '@graft/models/runtime/runtime';

import { evaluate } from './evaluate-job.adapter.js';
import { FeatureReader } from './examples/site-features.adapter.js';
import { fit } from './fit-job.adapter.js';
import type { ModelJobs } from './jobs.adapter.js';
import { predict } from './predict-job.adapter.js';
import { ResidentSessions } from './resident-sessions.adapter.js';
import { reportRuntime } from './runtime-job.adapter.js';
import type { Engine } from './training/engine.adapter.js';
import { TrainingSteps } from './training/train-tail.adapter.js';

/**
 * @param runtime answers and evaluates
 * @param openEngine what training runs on, called when the first training comes; the same runtime where it is left out
 */
export function createModelJobs(runtime: Runtime, openEngine = (): Promise<Engine> => plainEngine(runtime)): ModelJobs {
  const sessions = new ResidentSessions(runtime);
  const features = new FeatureReader(sessions);
  const steps = new TrainingSteps(openEngine);
  return {
    fit: (input, control) => fit(input, { runtime, steps, features, ...control }),
    evaluate: (input, control) => evaluate(input, { sessions, features, ...control }),
    predict: (input) => predict(input, sessions),
    runtime: () => reportRuntime(openEngine),
  };
}

/** The processor, by standard operators. */
function plainEngine(runtime: Runtime): Promise<Engine> {
  return Promise.resolve({ runtime, provider: 'cpu', lowering: standardLowering, about: `${runtime.name} on cpu` });
}
