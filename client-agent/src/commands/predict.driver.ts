/** `graft-agent predict FILE...`: answers from the installed release, by a trainer process of its own. */
import { GraftError } from '@graft/core/error';
import type { Pipeline } from '@graft/models/pipeline/pipeline';

import { agentPaths, type AgentPaths } from '../config/agent-paths.js';
import { placesOf, readAgentConfig } from '../config/agent-directory.adapter.js';
import { predictSources } from '../data/predict-sources.adapter.js';
import { formatTable } from '../output/format.js';
import { currentRelease, installedRelease, type InstalledRelease } from '../releases/release-store.adapter.js';
import { forSite } from '../trainer/examples/site-statistics.adapter.js';
import { readSite } from '../trainer/site-examples.adapter.js';
import type { Prediction, TrainerPlaces } from '../trainer/trainer-calls.js';
import { createTrainer } from '../trainer/trainer-process.driver.js';
import type { CommandContext } from './context.driver.js';

export async function predict(context: CommandContext<{ readonly release?: string }>): Promise<number> {
  const { options, args, output, directory } = context;
  const paths = agentPaths(directory);
  const config = await readAgentConfig(paths);
  const release = await findRelease(paths, options.release);
  const { id, round, precision } = release.manifest;
  const places = placesOf(paths, config);
  const pipeline = await localPipeline(release.manifest.pipeline, places);
  const inputs = await predictSources(args, pipeline.preprocessing, places.dataFile);
  const trainer = createTrainer();
  try {
    const predictions = await trainer.call('predict', { pipeline, blobs: release.folder, inputs });
    const data = {
      release: { id, round, precision },
      predictions: predictions.map((prediction) =>
        prediction.ok
          ? { ...prediction, probabilities: byLabel(pipeline.labels, prediction.probabilities) }
          : prediction,
      ),
    };
    output.result(data, formatTable(predictions.map(row)));
    const failed = predictions.filter(({ ok }) => !ok).length;
    if (failed > 0) output.progress(`${failed} of ${predictions.length} could not be answered`);
    return failed > 0 ? 1 : 0;
  } finally {
    await trainer.close();
  }
}

async function findRelease(paths: AgentPaths, id: string | undefined): Promise<InstalledRelease> {
  const release = id === undefined ? await currentRelease(paths.releases) : await installedRelease(paths.releases, id);
  if (release !== undefined) return release;
  throw new GraftError(
    'NO_RELEASE',
    id === undefined ? `${paths.releases} is empty` : `release '${id}' is not installed`,
  );
}

/** With the site's own statistics in it where the task standardises by site. */
async function localPipeline(pipeline: Pipeline, places: TrainerPlaces): Promise<Pipeline> {
  const { preprocessing } = pipeline;
  if (preprocessing.kind !== 'tabular' || preprocessing.standardise === 'task') return pipeline;
  const { training } = await readSite(places);
  return { ...pipeline, preprocessing: await forSite(preprocessing, training, places.splitFile) };
}

function row(prediction: Prediction): string[] {
  return prediction.ok
    ? [prediction.input, prediction.label, prediction.probability.toFixed(3)]
    : [prediction.input, '-', prediction.message];
}

function byLabel(labels: readonly string[], probabilities: readonly number[]): Record<string, number> {
  return Object.fromEntries(labels.map((label, index) => [label, probabilities[index] ?? 0]));
}
