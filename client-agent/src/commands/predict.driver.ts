/** `graft-agent predict FILE...`: answers from the installed release, by a trainer process of its own. */
import { resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import type { Preprocessing } from '@graft/models/pipeline/preprocessing';

import { agentPaths, type AgentPaths } from '../config/agent-paths.js';
import { placesOf, readAgentConfig } from '../config/agent-directory.adapter.js';
import { readRows } from '../data/rows/csv-rows.adapter.js';
import { readDataConfig } from '../data/dataset.adapter.js';
import { formatTable } from '../output/format.js';
import { currentRelease, installedRelease, type InstalledRelease } from '../releases/release-store.adapter.js';
import type { Prediction, PredictSource } from '../trainer/trainer-calls.js';
import { createTrainer } from '../trainer/trainer-process.driver.js';
import type { CommandContext } from './context.driver.js';

export async function predict(context: CommandContext<{ readonly release?: string }>): Promise<number> {
  const { options, args, output, directory } = context;
  const paths = agentPaths(directory);
  const config = await readAgentConfig(paths);
  const release = await findRelease(paths, options.release);
  const { pipeline, id, round, precision } = release.manifest;
  const inputs = await sourcesOf(args, pipeline.preprocessing, placesOf(paths, config).dataFile);
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

/** Images as they are; for a model of numbers, every row of the CSV files, in the columns of data.yaml where it names them. */
async function sourcesOf(
  files: readonly string[],
  preprocessing: Preprocessing,
  dataFile: string,
): Promise<PredictSource[]> {
  if (preprocessing.kind === 'image') return files.map((file) => ({ kind: 'image', path: resolve(file) }));
  const columns = await columnsOf(dataFile);
  const sources: PredictSource[] = [];
  for (const file of files) {
    for (const { name, cells } of await readRows(resolve(file), columns)) {
      sources.push({ kind: 'features', name: `${file} ${name}`, values: Float32Array.from(cells, Number) });
    }
  }
  return sources;
}

async function columnsOf(dataFile: string): Promise<readonly string[] | undefined> {
  try {
    const config = await readDataConfig(dataFile);
    return config.format === 'csv' ? config.columns : undefined;
  } catch (error) {
    // A site may predict without data of its own: then every column of the file counts.
    if (error instanceof GraftError && error.code === 'DATA_NOT_FOUND') return undefined;
    throw error;
  }
}

function row(prediction: Prediction): string[] {
  return prediction.ok
    ? [prediction.input, prediction.label, prediction.probability.toFixed(3)]
    : [prediction.input, '-', prediction.message];
}

function byLabel(labels: readonly string[], probabilities: readonly number[]): Record<string, number> {
  return Object.fromEntries(labels.map((label, index) => [label, probabilities[index] ?? 0]));
}
