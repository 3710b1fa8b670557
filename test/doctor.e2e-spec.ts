/** `graft doctor` says which tfjs would be used here, and why not the others. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { programs, run } from './support/commands.js';

interface Check {
  readonly name: string;
  readonly result: string;
  readonly message: string;
  readonly details?: { readonly backend?: string; readonly reasons: readonly { backend: string; reason: string }[] };
}

test('the doctor names the backend of tfjs, and a reason for each other one', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'graft doctor '));
  const env = { GRAFT_TENSORFLOW_DIR: directory };
  const { stdout } = await run(programs.graft, ['doctor', '--dir', directory, '--json'], { env });
  const { data } = JSON.parse(stdout) as { data: readonly Check[] };
  const check = data.find(({ name }) => name === 'tfjs');
  expect(check).toMatchObject({ result: 'PASS', details: { backend: 'wasm' } });
  expect(check?.details?.reasons).toEqual([
    { backend: 'tfjs-node-gpu', reason: '@tensorflow/tfjs-node-gpu is not installed' },
    { backend: 'tfjs-node', reason: '@tensorflow/tfjs-node is not installed' },
    { backend: 'cpu', reason: 'wasm comes first' },
  ]);
  const text = await run(programs.graft, ['doctor', '--dir', directory], { env });
  expect(text.stdout).toMatch(/PASS\s+tfjs\s+wasm .*not tfjs-node: @tensorflow\/tfjs-node is not installed/);
  await rm(directory, { recursive: true });
}, 120_000);
