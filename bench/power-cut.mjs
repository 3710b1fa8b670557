/**
 * Power cuts of the embedded store, simulated: on what a disk would hold after a cut at a random file operation the store must
 * open with every acknowledged row. `--without-fsync` is the proof that the measurement can fail. Exit 1 where something is lost.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { machine } from './support/processes.mjs';

const loader = new URL('../test/support/run-source.js', import.meta.url).href;
const program = fileURLToPath(new URL('../coordinator/src/store/power-cut/power-cut.contract.ts', import.meta.url));

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      cuts: { type: 'string', default: '40' },
      seed: { type: 'string', default: '1' },
      rows: { type: 'string', default: '120' },
      'without-fsync': { type: 'boolean', default: false },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), 'graft-power-cut-'));
  try {
    const { cuts, seed, rows, 'without-fsync': withoutFsync } = values;
    const mode = withoutFsync ? ['without-fsync'] : [];
    const command = ['--import', loader, program, folder, cuts, seed, rows, ...mode];
    const { stdout } = await promisify(execFile)(process.execPath, command);
    const result = JSON.parse(stdout);
    console.log(
      JSON.stringify({ bench: 'power-cut', withoutFsync, seed: Number(seed), ...result, machine: machine() }),
    );
    if (result.lost > 0 || result.opened < result.cuts) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
