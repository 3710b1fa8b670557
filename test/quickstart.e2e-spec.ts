/** Runs the blocks of docs/quickstart.md as they stand, in one shell. Blocks marked `terminal` are left running until the end. */
import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { folder, programs } from './support/commands.js';

const root = resolve(import.meta.dirname, '..');

/** The page as one script: every block in order, terminals in the background, all of them ended at the end. */
function scriptOf(page: string): string {
  const blocks = [...page.matchAll(/^```sh(?<kind> terminal)?\n(?<body>[\s\S]*?)^```$/gm)];
  const body = blocks.map(({ groups }, index) => {
    const text = groups?.['body'] ?? '';
    return groups?.['kind'] === undefined
      ? text
      : `( exec ${text.trim()} ) > terminal-${index}.log 2>&1 &\nterminals="$terminals $!"`;
  });
  return [
    'set -euo pipefail',
    'terminals=""',
    "trap 'for pid in $terminals; do kill $pid || true; done; wait' EXIT",
    ...body,
  ].join('\n');
}

function bash(file: string, cwd: string, path: string): Promise<{ exit: number | null; output: string }> {
  const child = spawn('bash', [file], {
    cwd,
    env: { ...process.env, PATH: `${path}:${process.env['PATH'] ?? ''}`, NODE_OPTIONS: '', NO_COLOR: '1' },
  });
  let output = '';
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (output += piece.toString()));
  return new Promise((done) => child.once('close', (exit) => done({ exit, output })));
}

describe('docs/quickstart.md', () => {
  it('works as written', async () => {
    const place = await folder();
    try {
      const bin = join(place.path, 'bin');
      await mkdir(bin);
      for (const [name, program] of [
        ['graft', programs.graft],
        ['graft-agent', programs.agent],
      ] as const) {
        await writeFile(join(bin, name), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
        await chmod(join(bin, name), 0o755);
      }
      for (const name of ['examples', 'node_modules']) await symlink(join(root, name), join(place.path, name));
      const script = join(place.path, 'quickstart.sh');
      await writeFile(script, scriptOf(await readFile(join(root, 'docs/quickstart.md'), 'utf8')));
      const { exit, output } = await bash(script, place.path, bin);
      expect(output).toContain('completed');
      expect(output).toMatch(/round 3\/3 {2}2 of 2/);
      expect(output).toMatch(/oslo\/data\/images\/7\/\d+\.png/);
      expect(output).toContain('coordinator stopped');
      expect(exit).toBe(0);
    } finally {
      await place.remove();
    }
  }, 240_000);
});
