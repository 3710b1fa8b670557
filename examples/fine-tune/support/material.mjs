/** Files that examples/fine-tune/material.sh fetched. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export function material(name) {
  const { GRAFT_MATERIAL_DIR, XDG_CACHE_HOME } = process.env;
  const folder = GRAFT_MATERIAL_DIR ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'graft/material');
  try {
    return new Uint8Array(readFileSync(join(folder, name)));
  } catch {
    console.error(`${join(folder, name)} is not there; fetch it with: examples/fine-tune/material.sh`);
    return process.exit(4);
  }
}
