/** What `enroll --data PATH` means: a data.yaml, or a folder of images for which one is written. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import { stringify } from 'yaml';

import { isMissing, readIfPresent } from '../config/files.adapter.js';
import { readDataConfig } from '../data/dataset.adapter.js';

export interface DataChoice {
  /** For agent.yaml: the data.yaml to read, absolute or relative to the agent's directory. */
  readonly data: string;
  /** The text of a data.yaml to write into the agent's directory. */
  readonly write?: string;
}

/** Throws DATA_NOT_FOUND, DATA_CONFIG_INVALID, INVALID_ARGUMENTS before anything is written. */
export async function chooseData(path: string | undefined): Promise<DataChoice> {
  if (path === undefined) return { data: 'data.yaml' };
  const absolute = resolve(path);
  const found = await stat(absolute).catch((error: unknown) => {
    if (isMissing(error)) throw new GraftError('DATA_NOT_FOUND', `${absolute} is not there`);
    throw error;
  });
  if (found.isDirectory()) {
    const own = resolve(absolute, 'data.yaml');
    if ((await readIfPresent(own)) !== undefined) return chooseData(own);
    return { data: 'data.yaml', write: stringify({ format: 'image-folder', path: absolute }) };
  }
  if (/\.csv$/i.test(absolute)) {
    throw new GraftError(
      'INVALID_ARGUMENTS',
      `${absolute} is a CSV file; write a data.yaml that says which column is the label, and pass that`,
    );
  }
  await readDataConfig(absolute);
  return { data: absolute };
}
