/** What must hold of the stored rows at any moment, whatever happened before. */
import type { RoundRecord } from '../../../coordinator/src/rounds/machine/record.js';
import type { RunState } from '../../../coordinator/src/rounds/machine/state.js';
import { agentId, type Config } from '../input.js';
import type { Contents } from '../stores/simulated-store.js';
import { demand } from '../world/violation.js';
import { countsIn, type VirtualBlobs } from '../world/weights.js';
import type { Ledger } from './ledger.js';

export interface Checked {
  readonly config: Config;
  readonly blobs: VirtualBlobs;
  readonly ledger: Ledger;
}

export function checkContents(contents: Contents, { config, blobs, ledger }: Checked): void {
  for (const { runId, run } of contents.runs) {
    checkCommits(contents, runId, run.machine);
    const records = contents.records.filter((each) => each.runId === runId);
    for (const { record } of records) checkRecord(record, config);
    checkSums(contents, runId, blobs);
    if (ledger.stoppedRuns().has(runId)) {
      const { status } = run.machine;
      const isOver = status !== 'running' && status !== 'waiting';
      demand(isOver, 'a stop that was confirmed holds', () => `run ${runId} is ${status}`);
    }
  }
  checkPromises(contents, blobs, ledger);
}

/** One checkpoint, one record, at most one release a round; none is missing, none is early. */
function checkCommits(contents: Contents, runId: string, { committedRounds, base, plan }: RunState): void {
  const rounds = contents.checkpoints.filter((each) => each.runId === runId).map(({ round }) => round);
  const wanted = Array.from({ length: committedRounds }, (_, index) => index + 1);
  const said = (): string =>
    `run ${runId} has committed ${committedRounds} rounds and has checkpoints ${rounds.join()}`;
  demand(rounds.join() === wanted.join(), 'each round is committed once', said);
  demand(base.round === committedRounds, 'the base is the last checkpoint', () => `the base is of round ${base.round}`);
  const records = contents.records.filter((each) => each.runId === runId);
  const committed = records.filter(({ record }) => record.phase === 'committed').map(({ round }) => round);
  demand(committed.sort((a, b) => a - b).join() === wanted.join(), 'each commit has its record', said);
  const released = contents.releases.filter((each) => each.runId === runId).map(({ id }) => id);
  const passed = records
    .filter(({ record }) => record.phase === 'committed' && record.gate?.passed === true)
    .map(({ round }) => `${plan.runId}-r${round}`);
  const saidReleases = (): string => `the gate let ${passed.join()} pass, released are ${released.join()}`;
  demand(released.sort().join() === passed.sort().join(), 'one release for each gate that was passed', saidReleases);
}

function checkRecord({ round, agents, updates, phase, aggregation, refusals }: RoundRecord, { cohort }: Config): void {
  const states = Object.values(agents).map(({ state }) => state);
  const decided =
    updates.accepted + updates.refused + updates.failed + updates.lost + updates.paused + updates.stragglers;
  const open = states.filter((state) => state === 'selected' || state === 'training').length;
  const said = (): string => `round ${round}: ${JSON.stringify(updates)} of ${states.length} agents, ${open} open`;
  demand(decided + open === states.length, 'the counters of a record add up', said);
  demand(
    Object.values(refusals).every((count) => (count ?? 0) > 0),
    'refusals are counted up',
    said,
  );
  if (phase !== 'committed') return;
  demand(open === 0, 'nobody is awaited in a committed round', said);
  demand(updates.accepted >= cohort.min, 'a commit has at least the minimum', said);
  const folded = aggregation?.updateCount ?? 0;
  demand(folded === updates.accepted, 'what is accepted is folded', () => `${said()}, ${folded} were folded`);
}

/** Each checkpoint holds every accepted agent of its round once and nobody else, on top of the checkpoint before. */
function checkSums(contents: Contents, runId: string, blobs: VirtualBlobs): void {
  let before: readonly number[] = [];
  for (const { round, weights } of contents.checkpoints.filter((each) => each.runId === runId)) {
    const { sums, nonces } = blobs.weights(weights);
    const said = (): string => `round ${round} has sums ${sums.join()}, the one before ${before.join()}`;
    demand(sums.slice(0, -1).join() === before.join(), 'a checkpoint is made from the one before', said);
    const record = contents.records.find((each) => each.runId === runId && each.round === round)?.record;
    const accepted = Object.entries(record?.agents ?? {})
      .filter(([, { state }]) => state === 'accepted')
      .map(([id]) => id);
    const counted = countsIn(sums.at(-1) ?? 0).flatMap((count, index) => Array<string>(count).fill(agentId(index)));
    const saidAgents = (): string => `round ${round} accepted ${accepted.join()} and counted ${counted.join()}`;
    demand(accepted.sort().join() === counted.join(), 'an accepted delta counts once, no other does', saidAgents);
    before = sums;
    const folded = nonces.flat();
    const saidNonces = (): string => `the updates up to round ${round} are ${folded.join()}`;
    demand(new Set(folded).size === folded.length, 'an update is folded once in a run', saidNonces);
  }
}

/** What an agent was told is accepted is stored so for ever, and is in its round unless the round's record says why not. */
function checkPromises(contents: Contents, blobs: VirtualBlobs, ledger: Ledger): void {
  for (const { agentId: id, runId, round, nonce } of ledger.promised()) {
    const row = contents.updates.find(
      (each) => each.runId === runId && each.round === round && each.agentId === id && each.nonce === nonce,
    );
    const said = (): string =>
      `agent ${id} was told that its update ${nonce.slice(0, 8)} of round ${round} is accepted`;
    demand(row?.accepted === true, 'a verdict is not lost', () => `${said()}, no row says so`);
    const state = contents.runs.find((each) => each.runId === runId)?.run.machine;
    const record = contents.records.find((each) => each.runId === runId && each.round === round)?.record;
    // With other policies it may be in a later round, or too old for any.
    if (state?.plan.policy.kind !== 'synchronous') continue;
    if (record === undefined || record.phase !== 'committed' || record.attempt > 1) continue;
    const own = record.agents[id];
    const isIn = own?.state === 'accepted' || (own?.state === 'refused' && own.reason === 'norm');
    demand(isIn, 'a verdict is kept', () => `${said()}, the record says ${own?.state ?? 'nothing'}`);
    const weights = contents.checkpoints.find((each) => each.runId === runId && each.round === round)?.weights;
    const folded = weights === undefined ? [] : (blobs.weights(weights).nonces[round - 1] ?? []);
    const isFolded = own?.state !== 'accepted' || folded.includes(nonce);
    demand(isFolded, 'the update that was accepted is the one that counts', said);
  }
}
