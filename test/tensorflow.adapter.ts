/** TensorFlow for tests, where test/tensorflow/build.sh has built it: @tensorflow/tfjs-node with its addon, in a folder of its own. */
import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where the script puts it, and a suite looks for it. */
export function tensorflowFolder(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['GRAFT_TENSORFLOW_DIR'] ?? join(cache, 'graft', 'tensorflow');
}

/**
 * Why a suite that needs TensorFlow is skipped; undefined where it runs.
 * With GRAFT_REQUIRE_TENSORFLOW=1 nothing is skipped: opening it then fails with the reason.
 */
export async function whyNoTensorflow(): Promise<string | undefined> {
  if (process.env['GRAFT_REQUIRE_TENSORFLOW'] === '1') return undefined;
  const folder = tensorflowFolder();
  return access(join(folder, 'built')).then(
    () => undefined,
    () => `TensorFlow is not built in ${folder}; test/tensorflow/build.sh builds it`,
  );
}
