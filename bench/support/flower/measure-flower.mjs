/**
 * The same rounds in Flower: real SuperLink, SuperNodes and `flwr run`, each app in the process that Flower starts for it.
 * Counted from the start of the first round, all nodes connected and the ServerApp loaded, until FedAvg's last round is over.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from '../federation.mjs';
import { cpuSeconds } from '../processes.mjs';
import { startFlower } from './flower-processes.mjs';

const app = join(import.meta.dirname, 'app');
const add = 0.001;

/**
 * Wall and CPU seconds a round of `rounds` rounds, and the wall seconds a round from `flwr run` on.
 * Throws where the run fails or the weights are not `rounds` times the constant.
 */
export async function measureFlower(flower, { agents, parameters, rounds }) {
  const directory = mkdtempSync(join(tmpdir(), 'graft-bench-flower-'));
  let deployment;
  try {
    deployment = await startFlower(flower, directory, agents);
    cpSync(app, join(directory, 'app'), { recursive: true });
    const settings = { agents, parameters, rounds, add, folder: JSON.stringify(directory) };
    const config = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
    const asked = performance.now();
    const cli = deployment.start('flwr', ['run', 'app', 'bench', '--run-config', config.join(' ')]);
    const marked = markOf(directory, cli);
    const began = await marked('began', 120_000);
    const cpuBefore = cpuSeconds(deployment.roots);
    const ended = await marked('ended', 120_000 + rounds * 300_000);
    const cpu = cpuSeconds(deployment.roots) - cpuBefore;
    const fromRun = (performance.now() - asked) / 1000;
    checkWeights(await marked('weights', 60_000), { parameters, rounds });
    return {
      wallSeconds: (ended.atSeconds - began.atSeconds) / rounds,
      cpuSeconds: cpu / rounds,
      wallSecondsFromRun: fromRun / rounds,
    };
  } finally {
    await deployment?.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Waits for a mark of the ServerApp; throws with the log's end where `flwr run` or the app failed. */
function markOf(directory, cli) {
  return (name, timeoutMs) =>
    until(
      `Flower's mark ${name}`,
      () => {
        if (existsSync(join(directory, name))) return JSON.parse(readFileSync(join(directory, name), 'utf8'));
        const log = readFileSync(join(directory, 'flower.log'), 'utf8');
        if ((cli.exitCode ?? 0) !== 0 || /Traceback|and [1-9]\d* failures/.test(log))
          throw new Error(`Flower's run failed: ${log.slice(-3000)}`);
        return undefined;
      },
      { timeoutMs, everyMs: 50 },
    );
}

function checkWeights({ parameters: seen, least, largest }, { parameters, rounds }) {
  const expected = rounds * add;
  const wrong = Math.max(Math.abs(least - expected), Math.abs(largest - expected)) / expected;
  if (seen !== parameters || !(wrong < 1e-4))
    throw new Error(`Flower gave ${seen} weights from ${least} to ${largest}, not ${parameters} of ${expected}`);
}
