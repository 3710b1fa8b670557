/** Reads the site's examples as data.yaml says. A record that cannot be used is skipped, counted and named. */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import { parse } from 'yaml';

import { parseDataConfig, type DataConfig } from '../config/data-config.js';
import { readCsv } from './csv.adapter.js';
import { inOrder, SkipList, type Dataset, type Example } from './dataset.js';
import { readImageFolder } from './image-folder.adapter.js';
import { openHashIndex } from './hash-index.adapter.js';

/** data.yaml with its path made absolute. Throws DATA_NOT_FOUND, DATA_CONFIG_INVALID. */
export async function readDataConfig(file: string): Promise<DataConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `${file} cannot be read`, { cause });
  }
  let source: unknown;
  try {
    source = parse(text);
  } catch (cause) {
    throw new GraftError('DATA_CONFIG_INVALID', `${file} is not YAML`, { cause });
  }
  const config = parseDataConfig(source, file);
  return { ...config, path: isAbsolute(config.path) ? config.path : resolve(dirname(file), config.path) };
}

/**
 * All usable examples of a site, in order of their hashes.
 * @param indexFile where the hashes of unchanged files are remembered
 * @throws DATA_NOT_FOUND, DATA_CONFIG_INVALID; DATA_EMPTY where no record can be used
 */
export async function readDataset(dataFile: string, indexFile: string): Promise<Dataset> {
  const config = await readDataConfig(dataFile);
  const skipped = new SkipList();
  const index = await openHashIndex(indexFile);
  const found =
    config.format === 'csv'
      ? await readCsv(config, skipped, index)
      : await readImageFolder(config.path, skipped, index);
  await index.save();
  if (found.length === 0) {
    const first = skipped.named[0];
    throw new GraftError(
      'DATA_EMPTY',
      `${config.path} has no usable example; ${skipped.count} were skipped${first ? `, first ${first.name}: ${first.reason}` : ''}`,
      { details: { skipped: skipped.count } },
    );
  }
  const mapping = config.labels ?? {};
  const examples = found.map((example): Example => ({ ...example, label: mapping[example.label] ?? example.label }));
  return {
    kind: config.format === 'csv' && config.columns !== undefined ? 'features' : 'image',
    examples: inOrder(examples),
    skipped: skipped.named,
    skippedCount: skipped.count,
  };
}
