/**
 * A fuzzer that speaks the protocol, beside an honest federation of real processes: three agents do runs of probes back to back
 * while enrolled attackers send what no agent would. A calm run of the same task goes first; every later one must commit each
 * round with the same weights, bit for bit. The attacks are drawn from the seed; how they meet the rounds is the machine's.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { openFederation } from './support/federation.mjs';
import { runAttacks } from './support/hostile/attacks.mjs';
import { connectHostile, enrolHostile } from './support/hostile/identity.mjs';
import { machine, peakBytes } from './support/processes.mjs';

const honest = 3;
const hostile = 4;
const parameters = 300_000;
const add = 0.001;
const rounds = 25;
const lanes = 6;
const minuteMs = 60_000;
/** What the attack may add to the coordinator's resident memory, and how many handles may be left once it is over. */
const growthLimitBytes = 400 * 2 ** 20;
const handlesLeft = 12;

const handlesOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;

/** A run of the task, once it is over: rounds, weights by round, its longest round. */
async function oneRun(federation, taskId) {
  const { id } = await federation.call('POST', '/runs', { taskId, seed: 1, rounds });
  const { status, reason } = await federation.untilOver(id);
  const committed = (await federation.call('GET', `/runs/${id}/rounds`)).filter(({ phase }) => phase === 'committed');
  const checkpoints = await federation.call('GET', `/runs/${id}/checkpoints`);
  return {
    status,
    reason,
    committed: new Set(committed.map(({ round }) => round)).size,
    doubled: committed.length - new Set(committed.map(({ round }) => round)).size,
    weights: new Map(checkpoints.map(({ round, weightsHash }) => [round, weightsHash])),
    times: committed.map(({ startedAtMs, finishedAtMs }) => finishedAtMs - startedAtMs),
  };
}

/** The lines of a metric, by the value of a label. */
async function metric(federation, name, label) {
  const response = await fetch(`${federation.ready.apiUrl}/metrics`, {
    headers: { authorization: `Bearer ${federation.key}` },
  });
  if (!response.ok) throw new Error(`the metrics answered ${response.status}`);
  const found = {};
  for (const line of (await response.text()).split('\n')) {
    if (!line.startsWith(`${name}{`)) continue;
    const key = new RegExp(`${label}="([^"]*)"`).exec(line)?.[1] ?? '';
    found[key] = (found[key] ?? 0) + Number(line.slice(line.lastIndexOf(' ')));
  }
  return found;
}

/** Handles, calls and streams of the coordinator now. */
async function openNow(federation) {
  const calls = Object.values(await metric(federation, 'graft_grpc_calls_open', 'method'));
  return { handles: handlesOf(federation.coordinator.pid), calls: calls.reduce((sum, value) => sum + value, 0) };
}

/** Attackers that are enrolled; the oldest makes way for a new one, as its refusals may have had it quarantined. */
async function openAttackers(federation) {
  let enrolled = 0;
  const agents = [];
  const renew = async () => {
    enrolled += 1;
    agents.push(connectHostile(await enrolHostile(federation, `hostile-${enrolled}`)));
    if (agents.length > hostile) agents.shift().close();
  };
  for (let index = 0; index < hostile; index++) await renew();
  const { apiUrl } = federation.ready;
  const fixed = { apiUrl, apiAddress: new URL(apiUrl).host, key: federation.key, parameters, add };
  const targetOf = (random) => {
    const agent = random.pick(agents);
    return { ...fixed, agent, others: agents.filter((other) => other !== agent) };
  };
  return { targetOf, renew, close: () => agents.splice(0).forEach((agent) => agent.close()) };
}

/** Waits until handles and calls are back, at most `waitMs`. */
async function settle(federation, before, waitMs) {
  for (const giveUpAtMs = Date.now() + waitMs; ; await sleep(1000)) {
    const now = await openNow(federation);
    const isBack = now.handles <= before.handles + handlesLeft && now.calls <= before.calls;
    if (isBack || Date.now() > giveUpAtMs) return { ...now, isBack };
  }
}

function logOf(federation) {
  const lines = readFileSync(join(federation.directory, 'coordinator.log'), 'utf8').split('\n');
  const unhandled = lines.filter((line) => /unhandled|uncaught|MaxListeners|out of memory/iu.test(line));
  return {
    unhandled,
    errors: lines.filter((line) => /"level":(?:50|60|"error"|"fatal")|^\S+ (?:ERROR|FATAL) /u.test(line)),
  };
}

/** Honest runs back to back, until the attack is over and the last run too. */
async function runsUntil(federation, taskId, untilMs) {
  const runs = [];
  while (Date.now() < untilMs) runs.push(await oneRun(federation, taskId));
  return runs;
}

/** What the attackers saw, by attacker; a line a minute to the standard error, and new attackers. */
function watch(federation, attackers, progress) {
  let minutes = 0;
  const sampling = setInterval(() => {
    if (federation.coordinator.exitCode === null && federation.coordinator.signalCode === null) {
      progress.peakHandles = Math.max(progress.peakHandles, handlesOf(federation.coordinator.pid));
    } else progress.exited = true;
  }, 1000);
  const telling = setInterval(() => {
    minutes += 1;
    const calls = Object.values(progress.seen).reduce((sum, kinds) => sum + kinds.total, 0);
    const peakMiB = Math.round(peakBytes(federation.coordinator.pid) / 2 ** 20);
    console.error(`minute ${minutes}: ${calls} attacks answered, peak ${peakMiB} MiB, ${progress.peakHandles} handles`);
    attackers.renew().catch((error) => progress.trouble.push(`a new agent could not enrol: ${error.message}`));
  }, minuteMs);
  return () => [sampling, telling].forEach(clearInterval);
}

const longest = (runs) => Math.max(0, ...runs.flatMap(({ times }) => times));
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Calm, attack, and after: the measures of the coordinator around the attack. */
async function attack(federation, { seed, durationMs }) {
  for (let index = 0; index < honest; index++) await federation.addAgent(`site-${index + 1}`);
  const attackers = await openAttackers(federation);
  const progress = { seen: {}, peakHandles: 0, exited: false, trouble: [] };
  await federation.untilConnected(honest + hostile);
  const cohort = { min: honest, goal: honest, max: honest + hostile * 2 };
  const probe = { name: 'rehearsal', kind: 'probe', parameters, add, rounds, cohort, windowMs: minuteMs };
  const { id: taskId } = await federation.call('POST', '/tasks', probe);
  const calm = await oneRun(federation, taskId);
  const before = {
    ...(await openNow(federation)),
    peak: peakBytes(federation.coordinator.pid),
    system: await federation.call('GET', '/system'),
  };
  const stopWatching = watch(federation, attackers, progress);
  const onSeen = (name, seen) => {
    const kinds = (progress.seen[name] ??= { total: 0 });
    kinds[seen] = (kinds[seen] ?? 0) + 1;
    kinds.total += 1;
  };
  const untilMs = Date.now() + durationMs;
  const { targetOf } = attackers;
  try {
    const [runs] = await Promise.all([
      runsUntil(federation, taskId, untilMs),
      runAttacks({ seed, lanes, untilMs, targetOf, onSeen }),
    ]);
    attackers.close();
    return { calm, runs, before, after: await settle(federation, before, 2 * minuteMs), progress };
  } finally {
    stopWatching();
    attackers.close();
  }
}

async function report(federation, { calm, runs, before, after, progress }) {
  const pid = federation.coordinator.pid;
  const system = await federation.call('GET', '/system');
  const { unhandled, errors } = logOf(federation);
  const wrong = runs.flatMap(({ weights }) => [...weights].filter(([round, hash]) => calm.weights.get(round) !== hash));
  const roundsLost = sum(runs.map(({ committed }) => rounds - committed));
  const growthBytes = peakBytes(pid) - before.peak;
  for (const line of [...unhandled, ...errors.slice(0, 10)]) console.error(line.slice(0, 1000));
  const holds =
    roundsLost === 0 &&
    calm.committed === rounds &&
    runs.every(({ status, doubled }) => status === 'completed' && doubled === 0) &&
    wrong.length === 0 &&
    growthBytes < growthLimitBytes &&
    after.isBack &&
    unhandled.length === 0 &&
    !progress.exited &&
    progress.trouble.length === 0;
  return {
    holds,
    roundsCommitted: sum(runs.map(({ committed }) => committed)),
    roundsLost,
    roundsDoubled: sum(runs.map(({ doubled }) => doubled)),
    weightsWrong: wrong.length,
    weightsCompared: sum(runs.map(({ weights }) => weights.size)),
    longestRoundMs: longest(runs),
    longestCalmRoundMs: longest([calm]),
    coordinatorPeakBytes: peakBytes(pid),
    growthBytes,
    growthLimitBytes,
    rssAfterBytes: system.rssBytes,
    eventLoopDelayP99Ms: system.eventLoopDelayP99Ms,
    eventLoopDelayMaxMs: system.eventLoopDelayMaxMs,
    calmEventLoopDelayP99Ms: before.system.eventLoopDelayP99Ms,
    handles: { before: before.handles, peak: progress.peakHandles, after: after.handles },
    callsOpen: { before: before.calls, after: after.calls },
    exited: progress.exited,
    unhandled: unhandled.length,
    errorLines: errors.length,
    trouble: progress.trouble,
    verdicts: await metric(federation, 'graft_reports_total', 'reason'),
    attacks: progress.seen,
  };
}

export async function run(args) {
  const options = { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } };
  const { values } = parseArgs({ args, options });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  const federation = await openFederation('hostile');
  try {
    const outcome = await attack(federation, { seed, durationMs: minutes * minuteMs });
    const line = { bench: 'hostile', minutes, seed, ...(await report(federation, outcome)), machine: machine() };
    console.log(JSON.stringify(line));
    if (!line.holds) process.exitCode = 1;
  } finally {
    const { exitCode, signalCode } = federation.coordinator;
    if (exitCode !== null || signalCode !== null) console.error(`the coordinator ended: ${exitCode ?? signalCode}`);
    await federation.close();
  }
}
