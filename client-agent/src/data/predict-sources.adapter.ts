/** Files to be answered, as the model of a release takes them: images as they are, rows in the columns that data.yaml names. */
import { readFile, stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import type { Preprocessing } from '@graft/models/pipeline/preprocessing';

import type { DataConfig } from '../config/data-config.js';
import type { PredictSource } from '../trainer/trainer-calls.js';
import { readDataConfig } from './dataset.adapter.js';
import { dataLimits, SkipList } from './dataset.js';
import { csvRows } from './rows/csv-rows.adapter.js';
import { jsonlRows } from './rows/jsonl-rows.adapter.js';
import { parquetRows } from './rows/parquet-rows.adapter.js';
import type { ReadRows, TableRow } from './rows/table.js';
import { tensorInputs } from './safetensors-examples.adapter.js';

/** Throws DATA_NOT_FOUND, DATA_CONFIG_INVALID, DATA_FILE_UNREADABLE; a row that cannot be read throws RECORD_UNUSABLE with its name. */
export async function predictSources(
  files: readonly string[],
  preprocessing: Preprocessing,
  dataFile: string,
): Promise<PredictSource[]> {
  if (preprocessing.kind === 'image') return files.map((file) => ({ kind: 'image', path: resolve(file) }));
  const config = await configOf(dataFile);
  const sources: PredictSource[] = [];
  for (const file of files) for (const source of await sourcesOf(file, preprocessing, config)) sources.push(source);
  return sources;
}

async function sourcesOf(
  file: string,
  preprocessing: Exclude<Preprocessing, { kind: 'image' }>,
  config: DataConfig | undefined,
): Promise<PredictSource[]> {
  if (preprocessing.kind === 'tensor') {
    const inputs = await tensorInputs(resolve(file), config?.format === 'safetensors' ? config.x : 'x');
    return inputs.map(({ name, source }) => ({ ...source, name }));
  }
  if (preprocessing.kind === 'text' && extname(file).toLowerCase() === '.txt') {
    return [{ kind: 'text', name: file, text: await readText(file) }];
  }
  const columns = columnsOf(preprocessing, config);
  const rows = await allRows(file, rowsOf(resolve(file), config), columns);
  return rows.map(({ name, cells }) => {
    const common = { name: `${file} ${name}` };
    if (preprocessing.kind === 'features')
      return { ...common, kind: 'features', values: Float32Array.from(cells, Number) };
    if (preprocessing.kind === 'tabular') {
      return { ...common, kind: 'row', columns: preprocessing.columns.map((column) => column.name), cells };
    }
    const [text, pair] = cells;
    return { ...common, kind: 'text', text: String(text ?? ''), ...(cells.length > 1 && { pair: String(pair ?? '') }) };
  });
}

/** Titles in the site's files; undefined for all of them. */
function columnsOf(
  preprocessing: Extract<Preprocessing, { kind: 'features' | 'tabular' | 'text' }>,
  config: DataConfig | undefined,
): readonly string[] | undefined {
  const table = config !== undefined && 'label' in config ? config : undefined;
  switch (preprocessing.kind) {
    case 'features':
      return table?.columns;
    case 'tabular': {
      const own = new Map(Object.entries({ ...table?.numeric, ...table?.categorical }));
      return preprocessing.columns.map(({ name }) => own.get(name) ?? name);
    }
    default:
      return [table?.text ?? 'text', ...(table?.pair === undefined ? [] : [table.pair])];
  }
}

function rowsOf(path: string, config: DataConfig | undefined): (skipped: SkipList) => ReadRows {
  switch (extname(path).toLowerCase()) {
    case '.jsonl':
    case '.ndjson':
      return (skipped) => jsonlRows({ ...(config?.format === 'jsonl' ? config : {}), path }, skipped);
    case '.parquet':
      return (skipped) => parquetRows(path, skipped);
    default:
      return (skipped) => csvRows({ ...(config?.format === 'csv' ? config : {}), path }, skipped);
  }
}

async function allRows(
  file: string,
  reader: (skipped: SkipList) => ReadRows,
  columns: readonly string[] | undefined,
): Promise<TableRow[]> {
  const skipped = new SkipList();
  const rows: TableRow[] = [];
  for await (const row of reader(skipped)(columns)) rows.push(row);
  const [first] = skipped.named;
  if (first === undefined) return rows;
  throw new GraftError(
    'RECORD_UNUSABLE',
    `${skipped.count} rows of ${file} cannot be read, first ${first.name}: ${first.reason}`,
  );
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size <= dataLimits.rowBytes) return await readFile(file, 'utf8');
    throw new GraftError('RECORD_UNUSABLE', `${file} has ${size} bytes, the limit of a text is ${dataLimits.rowBytes}`);
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    throw new GraftError('DATA_NOT_FOUND', `${file} cannot be read`, { cause });
  }
}

/** A site may predict without data of its own. */
async function configOf(dataFile: string): Promise<DataConfig | undefined> {
  try {
    return await readDataConfig(dataFile);
  } catch (error) {
    if (error instanceof GraftError && error.code === 'DATA_NOT_FOUND') return undefined;
    throw error;
  }
}
