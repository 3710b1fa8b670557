/** The trainer's table of jobs, over what stays loaded between them; model work is loaded when the first model comes. */
import { probe } from './probe-job.adapter.js';
import type { TrainerJobs } from './serve.driver.js';
import { readSite, summaryOf } from './site-examples.adapter.js';

/** The jobs that run models; see model-jobs.adapter.ts. */
export type ModelJobs = Pick<TrainerJobs, 'fit' | 'evaluate' | 'predict' | 'runtime'>;

/** @param loadModels called once: runtime and image decoder take half a second to load, and a rehearsal needs neither */
export function createJobs(loadModels: () => Promise<ModelJobs>): TrainerJobs {
  let loading: Promise<ModelJobs> | undefined;
  const models = (): Promise<ModelJobs> => (loading ??= loadModels());
  return {
    summary: async (places) => {
      const summary = summaryOf(await readSite(places));
      // A site with data will be asked to train: be ready. What goes wrong is told when a job asks.
      models().catch(() => undefined);
      return summary;
    },
    probe,
    fit: async (input, control) => (await models()).fit(input, control),
    evaluate: async (input, control) => (await models()).evaluate(input, control),
    predict: async (input, control) => (await models()).predict(input, control),
    runtime: async (input, control) => (await models()).runtime(input, control),
  };
}
