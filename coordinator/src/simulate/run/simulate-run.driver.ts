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
import { isOpen, type RunState } from '../../rounds/machine/state.js';
import type { StoredRun } from '../../rounds/material.js';
import { receiveEvaluation, receiveUpdate, type ReportDependencies } from '../../rounds/reports.driver.js';
import { runDoors } from '../../rounds/run-doors.driver.js';
import type { MakeEvent, Untimed } from '../../rounds/run-owner.driver.js';
import type { RowSources, StepRows } from '../../rounds/step-rows.js';
import { Fleet, type Happening, type Job } from '../agents/fleet.js';
import type { Device } from '../devices/device.js';
import { eventQueue, type EventQueue } from '../event-queue.js';
import type { SimulatedWork } from '../work/simulated-work.js';
import { simulatedAgents, type SimulatedAgents } from './simulated-agents.js';
import { resultOf, roundLine, type RoundLine, type SimulationResult } from './result.js';
import { simulatedOwner, type SimulatedOwner } from './simulated-owner.js';

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
  return new Simulation(options, ports).toTheEnd();
}

class Simulation {
  private nowMs = 0;
  private readonly queue: EventQueue<Event> = eventQueue<Event>();
  private readonly fleet: Fleet;
  private readonly agents: SimulatedAgents;
  private readonly owner: SimulatedOwner;
  private readonly reports: ReportDependencies;
  private readonly lines: RoundLine[] = [];
  /** How often each agent was asked, and plans since the last commit. */
  private readonly timesAsked: number[];
  private asked = 0;
  /** Updates that the fold in hand takes, by nonce. */
  private folded: readonly string[] = [];

  constructor(
    private readonly options: SimulationOptions,
    private readonly ports: SimulationPorts,
  ) {
    const { devices, seed, run, epochs } = options;
    const { work, identityKey, sources } = ports;
    this.timesAsked = devices.map(() => 0);
    this.fleet = new Fleet(devices, seed, this.queue);
    this.agents = simulatedAgents(this.fleet, { run, epochs, work, identityKey });
    this.owner = simulatedOwner(run, {
      sources,
      nowMs: () => this.nowMs,
      transferred: () => this.agents.transferred(),
    });
    this.reports = reportDependencies(ports, this.owner);
  }

  async toTheEnd(): Promise<SimulationResult> {
    const startedAtMs = this.ports.wallMs();
    await this.feed(() => ({ kind: 'started', connected: this.fleet.connectedIds() }));
    let quietUntilMs = 0;
    while (isOpen(this.machine)) {
      const wakeMs = Math.max(this.nowMs, quietUntilMs, wakeAtMs(this.machine) ?? Infinity);
      const nextMs = Math.min(wakeMs, this.queue.nextMs());
      if (nextMs > this.options.longestMs) break;
      this.nowMs = nextMs;
      const event = this.queue.nextMs() <= wakeMs ? this.queue.take() : undefined;
      if (event !== undefined) {
        await this.happen(event.value);
        continue;
      }
      const due = wakeAtMs(this.machine);
      await this.feed(() => ({ kind: 'timePassed', active: this.fleet.busyIds() }));
      quietUntilMs = wakeAtMs(this.machine) === due ? this.nowMs + againMs : 0;
    }
    this.agents.settle(this.fleet.ids, ['train', 'evaluate']);
    const { status, reason, plan } = this.machine;
    return resultOf(this.lines, {
      policy: plan.policy.kind,
      status: isOpen(this.machine) ? 'out of time' : status,
      reason,
      virtualMs: isOpen(this.machine) ? this.options.longestMs : this.nowMs,
      wallMs: this.ports.wallMs() - startedAtMs,
      timesAsked: this.timesAsked,
    });
  }

  private get machine(): RunState {
    return this.owner.current().machine;
  }

  private async feed(make: MakeEvent): Promise<void> {
    await this.owner.feed(make);
    await this.act();
  }

  /** Acts on what events have made: agents hear of it, the coordinator's own work is done. */
  private async act(): Promise<void> {
    for (const rows of this.owner.takeRows()) {
      for (const { agentIds, kinds } of rows.settlements) this.agents.settle(agentIds, kinds);
      for (const { agentId, instruction } of rows.instructions) {
        if (instruction.kind === 'train') this.count(agentId);
        this.agents.instruct(agentId, instruction, this.nowMs);
      }
      if (rows.commit !== undefined) await this.commit(rows);
      for (const effect of rows.outbox) await this.perform(effect);
    }
  }

  private count(agentId: string): void {
    const agent = this.fleet.agentOf(agentId);
    this.timesAsked[agent] = (this.timesAsked[agent] ?? 0) + 1;
    this.asked += 1;
  }

  private async commit({ round, atMs }: StepRows): Promise<void> {
    const line = roundLine(round.record, { atMs, asked: this.asked });
    this.asked = 0;
    this.lines.push(line);
    this.ports.onRound(line);
    for (const hash of this.owner.forgetUpdates(this.folded)) await this.ports.blobs.delete(hash);
  }

  private async perform(effect: OutboxEffect): Promise<void> {
    const { aggregator, models: work, masterKey } = this.ports;
    const { owner } = this;
    const run = owner.current();
    const result = await performEffect(effect, run, { store: owner, aggregator, work, masterKey });
    let bytes = 0;
    if (effect.kind === 'aggregate') {
      this.folded = effect.agentIds.flatMap((id) => run.machine.members[id]?.update?.nonce ?? []);
      bytes = effect.agentIds.length * run.material.parameterCount * Float32Array.BYTES_PER_ELEMENT;
    }
    this.queue.add(this.nowMs + (bytes / foldBytesPerSecond) * 1000, { kind: 'work', result });
  }

  private async happen(event: Event): Promise<void> {
    if (event.kind === 'work') return this.feed(() => event.result);
    const { agent } = event;
    const agentId = this.fleet.ids[agent] ?? '';
    const before = this.fleet.isConnected(agent);
    const job = this.fleet.happen(event, this.nowMs);
    const connected = this.fleet.isConnected(agent);
    if (connected !== before) await this.feed(() => ({ kind: connected ? 'agentConnected' : 'agentLost', agentId }));
    if (job === undefined) return;
    if (event.kind === 'begun') return this.feed(() => ({ kind: 'progressed', agentId, round: job.round }));
    await this.report(agentId, job);
  }

  private async report(agentId: string, job: Job): Promise<void> {
    const answer = await this.agents.finish(agentId, job);
    if (answer.kind === 'update') await receiveUpdate(agentId, answer, this.reports);
    else await receiveEvaluation(agentId, answer, this.reports);
    await this.act();
  }
}

function reportDependencies(ports: SimulationPorts, owner: SimulatedOwner): ReportDependencies {
  const { blobs, aggregator, masterKey, identityKey } = ports;
  return {
    store: {
      signingKey: async () => identityKey,
      runIs: async () => 'over',
      wasAccepted: async () => false,
      instruction: async () => undefined,
      settleInstall: async () => undefined,
    },
    blobs,
    aggregator,
    masterKey,
    // Who sent it is known here: the signature alone is left out.
    readManifest: ({ manifest }) => ({ admitted: true, manifest: decodeUpdateManifest(manifest) }),
    runs: runDoors(new Map([[owner.lease.runId, owner]])),
  };
}
