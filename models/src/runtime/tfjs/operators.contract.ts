/** For specs: the gradient cases of every family of operators, run on tfjs. A new family is found by its file. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { References } from '../../operators/array64.contract.js';
import { describeGradients, type GradientCase, type Place } from '../../operators/central-differences.contract.js';
import type { TfjsRuntime } from './tfjs.adapter.js';

const folder = join(import.meta.dirname, '../../operators');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.(cases|references)\.contract\.ts$/.test(name),
);

/** All that the files export: `xCases` and `xReferences` of each family. */
async function exported(): Promise<Map<string, unknown>> {
  const all = new Map<string, unknown>();
  // One after the other: Jest links modules that are imported at once in the wrong order.
  for (const name of files) {
    for (const [key, value] of Object.entries((await import(join(folder, name))) as object)) all.set(key, value);
  }
  return all;
}

/** Registers forward and gradient of every case against central differences of the float64 references. */
export async function describeOperators(open: () => Promise<TfjsRuntime>): Promise<void> {
  const all = await exported();
  let opened: Promise<TfjsRuntime> | undefined;
  const place: Place = { seeds: 1, runtime: () => (opened ??= open()) };
  for (const [name, cases] of all) {
    const family = /^(.*)Cases$/.exec(name)?.[1];
    if (family === undefined) continue;
    const references = all.get(`${family}References`) as References;
    describeGradients(`${family} on tfjs`, cases as readonly GradientCase[], references, place);
  }
}
