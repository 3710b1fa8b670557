/**
 * A site's own means and deviations, for tasks that standardise by site: computed from the training examples when a task first asks,
 * then kept, so that an example stays the same numbers from round to round.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';

import { columnStatistics, withSiteStatistics } from '@graft/models/pipeline/kinds/site-statistics';
import type { Preprocessing } from '@graft/models/pipeline/preprocessing';
import { z } from 'zod';

import { readIfPresent, writeFileAtomically } from '../../config/files.adapter.js';
import type { Example } from '../../data/dataset.js';

const fileSchema = z.record(
  z.string(),
  z.record(z.string(), z.object({ mean: z.number(), std: z.number().positive() })),
);

/**
 * The task's preprocessing with this site's statistics in it; as it is where the task needs none.
 * @param training the examples that the site trains with
 * @param splitFile beside which the statistics are kept
 */
export async function forSite<P extends Preprocessing>(
  preprocessing: P,
  training: readonly Example[],
  splitFile: string,
): Promise<P | Extract<Preprocessing, { kind: 'tabular' }>> {
  if (preprocessing.kind !== 'tabular' || preprocessing.standardise === 'task') return preprocessing;
  const file = join(dirname(splitFile), 'statistics.json');
  const known = await readStatistics(file);
  const numeric = preprocessing.columns.filter(({ kind }) => kind === 'numeric').map(({ name }) => name);
  const key = createHash('sha256').update(JSON.stringify(numeric)).digest('hex');
  const kept = known[key];
  if (kept !== undefined) return withSiteStatistics(preprocessing, kept);
  const rows = training.flatMap(({ source }) => (source.kind === 'row' ? [source] : []));
  const statistics = columnStatistics(preprocessing, rows);
  if (rows.length > 0) await writeFileAtomically(file, JSON.stringify({ ...known, [key]: statistics }));
  return withSiteStatistics(preprocessing, statistics);
}

/** What is damaged is computed again. */
async function readStatistics(file: string): Promise<z.infer<typeof fileSchema>> {
  const text = await readIfPresent(file);
  if (text === undefined) return {};
  try {
    return fileSchema.safeParse(JSON.parse(text)).data ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
