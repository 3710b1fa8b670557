/** Reads the site's examples as data.yaml says. A record that cannot be used is skipped, counted and named. */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import { parse } from 'yaml';

import { parseDataConfig, type DataConfig, type TableConfig } from '../config/data-config.js';
import { inOrder, SkipList, type Dataset, type Example, type ExampleSource } from './dataset.js';
import { readImageFolder } from './image-folder.adapter.js';
import { openHashIndex, type HashIndex } from './hash-index.adapter.js';
import { csvRows } from './rows/csv-rows.adapter.js';
import { jsonlRows } from './rows/jsonl-rows.adapter.js';
import { parquetRows } from './rows/parquet-rows.adapter.js';
import { rowExamples } from './rows/row-examples.adapter.js';
import type { ReadRows } from './rows/table.js';
import { readTensorFiles } from './safetensors-examples.adapter.js';

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
  const found = await readExamples(config, skipped, index);
  await index.save();
  if (found.length === 0) {
    const first = skipped.named.slice(0, 3).map(({ name, reason }) => `${name}: ${reason}`);
    throw new GraftError(
      'DATA_EMPTY',
      `${config.path} has no usable example; ${skipped.count} were skipped${first.length > 0 ? `, first ${first.join('; ')}` : ''}`,
      { details: { skipped: skipped.count } },
    );
  }
  const mapping = config.labels ?? {};
  const examples = found.map((example): Example => ({ ...example, label: mapping[example.label] ?? example.label }));
  return {
    kind: kindOf(config),
    examples: inOrder(examples),
    skipped: skipped.named,
    skippedCount: skipped.count,
  };
}

async function readExamples(config: DataConfig, skipped: SkipList, index: HashIndex): Promise<Example[]> {
  switch (config.format) {
    case 'image-folder':
      return readImageFolder(config.path, skipped, index);
    case 'safetensors':
      return readTensorFiles(config, skipped);
    default:
      return rowExamples(config, rowsOf(config, skipped), { skipped, index });
  }
}

function rowsOf(config: TableConfig, skipped: SkipList): ReadRows {
  switch (config.format) {
    case 'csv':
      return csvRows(config, skipped);
    case 'jsonl':
      return jsonlRows(config, skipped);
    default:
      return parquetRows(config.path, skipped);
  }
}

/** What the examples are, whatever file they are in. */
export function kindOf(config: DataConfig): ExampleSource['kind'] {
  if (config.format === 'image-folder') return 'image';
  if (config.format === 'safetensors') return 'tensor';
  if (config.image !== undefined) return 'image';
  if (config.columns !== undefined) return 'features';
  return config.text === undefined ? 'row' : 'text';
}
