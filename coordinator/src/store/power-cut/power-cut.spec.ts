/** Power cuts of the embedded store, simulated by a program of its own: see power-cut.contract.ts. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { PowerCutResult } from './power-cut.contract.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'graft power-cut-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

test('a power cut loses no acknowledged row of the embedded store and leaves a database that opens', async () => {
  const loader = new URL('../../../../test/support/run-source.js', import.meta.url).href;
  const args = ['--import', loader, here('power-cut.contract.ts'), folder, '3', '7', '40'];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const result = JSON.parse(stdout) as PowerCutResult;
  expect(result).toMatchObject({ cuts: 3, opened: 3, lost: 0, refusals: [] });
  expect(result.acknowledged).toBeGreaterThan(0);
}, 180_000);
