/** The first API key: made when there is none, written once into the data directory; the store keeps its hash. */
import { join } from 'node:path';

import type { ApiKeys } from '../access/api-keys.repository.js';
import { newSecret } from '../enrolment/token.adapter.js';
import { writeSecret } from './keys.adapter.js';

/** The file is written first: a key that is stored but nowhere written would lock the operator out. */
export async function ensureFirstKey(directory: string, keys: ApiKeys): Promise<boolean> {
  if (!(await keys.none())) return false;
  const key = newSecret('key');
  await writeSecret(join(directory, 'admin.key'), `${key}\n`);
  await keys.add(key, { name: 'first', role: 'admin' }, 'the first start');
  return true;
}
