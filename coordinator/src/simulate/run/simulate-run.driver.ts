/**
 * One run of many simulated agents on a virtual clock. What the coordinator does is its own code: the machine, the rows of a
 * step with their plans, admission, opening, folding. What agents do is real where it decides what is learnt, and virtual where
 * it takes time: a device's trace says how long.
 */
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';

import type { Aggregator } from '../../compute/aggregation.js';
import type { ModelWork } from '../../compute/model-work.js';
import { performEffect } from '../../rounds/effects.driver.js';
import type { OutboxEffect } from '../../rounds/machine/effect.js';
import { wakeAtMs } from '../../rounds/machine/machine.js';
import { isOpen } from '../../rounds/machine/state.js';
import type { StoredRun } from '../../rounds/material.js';
import { receiveEvaluation, receiveUpdate, type ReportDependencies } from '../../rounds/reports.driver.js';
import { runDoors } from '../../rounds/run-doors.driver.js';
import type { MakeEvent, Untimed } from '../../rounds/run-owner.driver.js';
import type { RowSources, StepRows } from '../../rounds/step-rows.js';
import { createFleet, type Happening, type Job } from '../agents/fleet.js';
import type { Device } from '../devices/device.js';
import { eventQueue } from '../event-queue.js';
import type { SimulatedWork } from '../work/simulated-work.js';
import { simulatedAgent } from './simulated-agent.js';
import { resultOf, roundLine, type RoundLine, type SimulationResult } from './result.js';
import { simulatedOwner } from './simulated-owner.js';

export interface SimulationPorts {
  readonly work: SimulatedWork;
  readonly aggregator: Aggregator;
  /** The coordinator's own work on models. */
  readonly models: ModelWork;
  readonly blobs: ReportDependencies['blobs'] & { delete(hash: string): Promise<void> };
  readonly sources: RowSources;
  readonly masterKey: Uint8Array;
  readonly identityKey: Uint8Array;
  /** Milliseconds of the machine that simulates. */
  wallMs(): number;
  onRound(line: RoundLine): void;
}

export interface SimulationOptions {
  readonly run: StoredRun;
  readonly devices: readonly Device[];
  readonly seed: number;
  /** How often an agent goes through its examples in a round. */
  readonly epochs: number;
  /** Virtual time after which the simulation ends in any case. */
  readonly longestMs: number;
}

/** Bytes of updates that the virtual coordinator folds in a second; measured by bench/unit-costs.mjs. */
const foldBytesPerSecond = 4e8;

/** A deadline that changed nothing comes again after this. */
const againMs = 1000;

/** What may happen: to an agent, or the coordinator's own work is done. */
type Event = Happening | { readonly kind: 'work'; readonly result: Untimed };

export async function simulateRun(options: SimulationOptions, ports: SimulationPorts): Promise<SimulationResult> {
  const { devices, seed, longestMs } = options;
  const startedAtMs = ports.wallMs();
  let nowMs = 0;
  const queue = eventQueue<Event>();
  const fleet = createFleet(devices, seed, queue);
  const agents = simulatedAgent(fleet, { ...options, work: ports.work, identityKey: ports.identityKey });
  const owner = simulatedOwner(options.run, {
    sources: ports.sources,
    nowMs: () => nowMs,
    transferred: agents.transferred,
  });
  const { runId } = owner.lease;
  const timesAsked = devices.map(() => 0);
  const lines: RoundLine[] = [];
  let asked = 0;

  const reports: ReportDependencies = {
    store: {
      signingKey: async () => ports.identityKey,
      runIs: async () => 'over',
      wasAccepted: async () => false,
      instruction: async () => undefined,
      settleInstall: async () => undefined,
    },
    blobs: ports.blobs,
    aggregator: ports.aggregator,
    masterKey: ports.masterKey,
    // Who sent it is known here: the signature alone is left out.
    readManifest: ({ manifest }) => ({ admitted: true, manifest: decodeUpdateManifest(manifest) }),
    runs: runDoors(new Map([[runId, owner]])),
  };

  const feed = async (make: MakeEvent): Promise<void> => {
    await owner.feed(make);
    await settleRows();
  };

  /** Acts on what events have made: agents hear of it, the coordinator's own work is done. */
  const settleRows = async (): Promise<void> => {
    for (const rows of owner.takeRows()) {
      for (const { agentIds, kinds } of rows.settlements) agents.settle(agentIds, kinds);
      for (const { agentId, instruction } of rows.instructions) {
        if (instruction.kind === 'train') count(agentId);
        agents.instruct(agentId, instruction, nowMs);
      }
      if (rows.commit !== undefined) await commit(rows);
      for (const effect of rows.outbox) await perform(effect);
    }
  };

  const count = (agentId: string): void => {
    const agent = fleet.agentOf(agentId);
    timesAsked[agent] = (timesAsked[agent] ?? 0) + 1;
    asked += 1;
  };

  const commit = async ({ round, atMs, run }: StepRows): Promise<void> => {
    const line = roundLine(round.record, { atMs, asked });
    asked = 0;
    lines.push(line);
    ports.onRound(line);
    const folded = Object.entries(run.machine.members).flatMap(([id, { state }]) => (state === 'accepted' ? [id] : []));
    for (const hash of owner.forgetUpdates(folded)) await ports.blobs.delete(hash);
  };

  const perform = async (effect: OutboxEffect): Promise<void> => {
    const { aggregator, models: work, masterKey } = ports;
    const result = await performEffect(effect, owner.current(), { store: owner, aggregator, work, masterKey });
    const bytes =
      effect.kind === 'aggregate' ? effect.agentIds.length * owner.current().material.parameterCount * 4 : 0;
    queue.add(nowMs + (bytes / foldBytesPerSecond) * 1000, { kind: 'work', result });
  };

  const report = async (agent: number, job: Job): Promise<void> => {
    const agentId = fleet.ids[agent] ?? '';
    const answer = await agents.finish(agent, job);
    if (answer.kind === 'update') await receiveUpdate(agentId, answer, reports);
    else await receiveEvaluation(agentId, answer, reports);
    await settleRows();
  };

  const happen = async (event: Event): Promise<void> => {
    if (event.kind === 'work') return feed(() => event.result);
    const { agent } = event;
    const agentId = fleet.ids[agent] ?? '';
    if (event.kind === 'presence') {
      const { connected, changed } = fleet.turnPresence(agent, nowMs);
      if (changed) await feed(() => ({ kind: connected ? 'agentConnected' : 'agentLost', agentId }));
      return;
    }
    const job = fleet.current(event);
    if (job === undefined) return;
    if (event.kind === 'begun') return feed(() => ({ kind: 'progressed', agentId, round: job.round }));
    fleet.take(agent);
    if (event.kind === 'finished') await report(agent, job);
    else if (job.kind === 'train') job.training.withdraw();
  };

  await feed(() => ({ kind: 'started', connected: fleet.connectedIds() }));
  let quietUntilMs = 0;
  while (isOpen(owner.current().machine)) {
    const wakeMs = Math.max(nowMs, quietUntilMs, wakeAtMs(owner.current().machine) ?? Infinity);
    const nextMs = Math.min(wakeMs, queue.nextMs());
    if (nextMs > longestMs) break;
    nowMs = nextMs;
    if (queue.nextMs() <= wakeMs) {
      const event = queue.take();
      if (event !== undefined) await happen(event.value);
      continue;
    }
    const before = owner.current().machine;
    await feed(() => ({ kind: 'timePassed', active: fleet.busyIds() }));
    quietUntilMs = wakeAtMs(owner.current().machine) === wakeAtMs(before) ? nowMs + againMs : 0;
  }
  agents.settle(fleet.ids, ['train', 'evaluate']);
  const { status, reason, plan } = owner.current().machine;
  return resultOf(lines, {
    policy: plan.policy.kind,
    status: isOpen(owner.current().machine) ? 'out of time' : status,
    reason,
    virtualMs: Math.min(nowMs, longestMs),
    wallMs: ports.wallMs() - startedAtMs,
    timesAsked,
  });
}
