/** The site's examples on the two sides of the split; what the split pinned is remembered beside them. */
import { z } from 'zod';

import { readIfPresent, writeFileAtomically } from '../config/files.adapter.js';
import { readDataset } from '../data/dataset.adapter.js';
import type { DataSummary, Dataset, Example } from '../data/dataset.js';
import { noPins, splitRecords, type SplitPins } from '../data/split.js';
import type { TrainerPlaces } from './trainer-calls.js';

const pinsSchema = z.object({ heldOut: z.array(z.string()), training: z.array(z.string()) });

export interface SiteExamples {
  readonly dataset: Dataset;
  readonly training: readonly Example[];
  readonly heldOut: readonly Example[];
}

/** Reads and splits the data. Throws what `readDataset` throws. */
export async function readSite(
  places: Pick<TrainerPlaces, 'dataFile' | 'indexFile' | 'splitFile'>,
): Promise<SiteExamples> {
  const dataset = await readDataset(places.dataFile, places.indexFile);
  const before = await readPins(places.splitFile);
  const { heldOut, pins } = splitRecords(dataset.examples, before);
  if (JSON.stringify(pins) !== JSON.stringify(before)) {
    await writeFileAtomically(places.splitFile, JSON.stringify(pins));
  }
  return {
    dataset,
    training: dataset.examples.filter(({ hash }) => !heldOut.has(hash)),
    heldOut: dataset.examples.filter(({ hash }) => heldOut.has(hash)),
  };
}

/** Counts of a site's data. */
export function summaryOf({ dataset, training, heldOut }: SiteExamples): DataSummary {
  const counts = new Map<string, number>();
  for (const { label } of dataset.examples) counts.set(label, (counts.get(label) ?? 0) + 1);
  return {
    kind: dataset.kind,
    training: training.length,
    heldOut: heldOut.length,
    skipped: dataset.skipped,
    skippedCount: dataset.skippedCount,
    labels: [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)),
  };
}

async function readPins(file: string): Promise<SplitPins> {
  const text = await readIfPresent(file);
  return text === undefined ? noPins : pinsSchema.parse(JSON.parse(text));
}
