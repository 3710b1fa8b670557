/** Sets the gauges that are read when metrics are asked for: the store, open runs and their agents, the event loop. */
import type { Clock } from '@graft/core/clock';

import type { RoundRecord } from '../../rounds/machine/record.js';
import { membersByState } from '../observed/round-steps.js';
import type { GaugeName } from '../metric-catalogue.js';
import type { Telemetry } from '../telemetry.js';
import type { OpenRun, StoredMetrics } from './stored.repository.js';

export interface GaugeSources {
  readonly stored: StoredMetrics;
  readonly connected: () => readonly string[];
  /** Sums since the start, by agent. */
  readonly transferred: () => ReadonlyMap<string, { readonly up: number; readonly down: number }>;
  readonly eventLoop: {
    p99Ms(): number;
    recent(): { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
  };
  readonly clock: Clock;
}

/** Open runs that have series of their own. */
const shownRuns = 20;

export function collectGauges(telemetry: Telemetry, sources: GaugeSources): void {
  const transfers = transferCounters(telemetry, sources.transferred);
  telemetry.onCollect(() => {
    const { p50Ms, p99Ms, maxMs } = sources.eventLoop.recent();
    telemetry.set('graft_event_loop_delay_seconds', { quantile: '0.5' }, p50Ms / 1000);
    telemetry.set('graft_event_loop_delay_seconds', { quantile: '0.99' }, p99Ms / 1000);
    telemetry.set('graft_event_loop_delay_seconds', { quantile: '1' }, maxMs / 1000);
    telemetry.set('graft_event_loop_delay_p99_seconds', {}, sources.eventLoop.p99Ms() / 1000);
    telemetry.set('graft_connected_agents', {}, sources.connected().length);
    transfers();
  });
  telemetry.onCollect(async () => collectCounts(telemetry, sources));
  telemetry.onCollect(async () => {
    const runs = await sources.stored.openRuns(shownRuns);
    const names = await sources.stored.agentNames();
    for (const name of runGauges) telemetry.clear(name);
    for (const run of runs) setRun(telemetry, run, sources.clock.nowMs());
    const connected = new Set(sources.connected());
    for (const [agent, name] of names)
      telemetry.set('graft_agent_connected', { agent, name }, connected.has(agent) ? 1 : 0);
  });
}

const runGauges: readonly GaugeName[] = [
  'graft_run_round',
  'graft_run_attempt',
  'graft_run_waiting',
  'graft_run_phase_age_seconds',
  'graft_run_agents',
  'graft_run_loss',
  'graft_agent_connected',
  'graft_agent_state',
  'graft_agent_attempt',
  'graft_agent_loss',
  'graft_agent_seconds',
  'graft_agent_refusals',
];

async function collectCounts(telemetry: Telemetry, { stored, clock }: GaugeSources): Promise<void> {
  const { runs, rounds, updates, outbox, instructions, inbox, quarantined } = await stored.counts(clock.nowMs());
  for (const name of ['graft_runs', 'graft_rounds', 'graft_updates', 'graft_quarantined_agents'] as const)
    telemetry.clear(name);
  for (const [task, count] of Object.entries(quarantined)) telemetry.set('graft_quarantined_agents', { task }, count);
  for (const [status, count] of Object.entries(runs)) telemetry.set('graft_runs', { status }, count);
  for (const [phase, count] of Object.entries(rounds)) telemetry.set('graft_rounds', { phase }, count);
  for (const [reason, count] of Object.entries(updates))
    telemetry.set('graft_updates', { reason: reason === '' ? 'accepted' : reason }, count);
  telemetry.set('graft_open_runs', {}, (runs['running'] ?? 0) + (runs['waiting'] ?? 0));
  telemetry.set('graft_outbox_depth', {}, outbox);
  telemetry.set('graft_instruction_backlog', {}, instructions);
  telemetry.set('graft_inbox_depth', {}, inbox);
}

function setRun(telemetry: Telemetry, { machine, record }: OpenRun, nowMs: number): void {
  const run = machine.plan.runId;
  telemetry.set('graft_run_round', { run }, machine.round);
  telemetry.set('graft_run_attempt', { run }, machine.attempt);
  telemetry.set('graft_run_waiting', { run }, machine.status === 'waiting' ? 1 : 0);
  const ageMs = Math.max(0, nowMs - machine.phaseStartedAtMs);
  telemetry.set('graft_run_phase_age_seconds', { run, phase: machine.phase }, ageMs / 1000);
  for (const [state, count] of Object.entries(membersByState(machine)))
    telemetry.set('graft_run_agents', { run, state }, count);
  if (record === undefined) return;
  if (record.trainingLoss !== undefined) telemetry.set('graft_run_loss', { run }, record.trainingLoss);
  for (const [agent, one] of Object.entries(record.agents)) setAgent(telemetry, agent, one);
  for (const [agent, reasons] of Object.entries(record.refusalsByAgent))
    for (const [reason, count] of Object.entries(reasons))
      telemetry.set('graft_agent_refusals', { agent, reason }, count);
}

function setAgent(telemetry: Telemetry, agent: string, record: RoundRecord['agents'][string]): void {
  telemetry.set('graft_agent_state', { agent, state: record.state }, 1);
  telemetry.set('graft_agent_attempt', { agent }, record.attempt);
  if (record.loss !== undefined) telemetry.set('graft_agent_loss', { agent }, record.loss);
  const seconds = {
    whole: record.seconds,
    fetching: record.fetchSeconds,
    features: record.featureSeconds,
    training: record.trainSeconds,
    sealing: record.sealSeconds,
  };
  for (const [activity, spent] of Object.entries(seconds))
    if (spent !== undefined) telemetry.set('graft_agent_seconds', { agent, activity }, spent);
}

/** Counters out of sums: what has been added since they were looked at last. */
function transferCounters(telemetry: Telemetry, transferred: GaugeSources['transferred']): () => void {
  let before: ReturnType<GaugeSources['transferred']> = new Map();
  return () => {
    const now = transferred();
    for (const [agent, bytes] of now) {
      const last = before.get(agent) ?? { up: 0, down: 0 };
      for (const direction of ['up', 'down'] as const) {
        const passed = bytes[direction] - last[direction];
        if (passed <= 0) continue;
        telemetry.add('graft_transferred_bytes_total', { direction }, passed);
        telemetry.add('graft_agent_transferred_bytes_total', { agent, direction }, passed);
      }
    }
    before = now;
  };
}
