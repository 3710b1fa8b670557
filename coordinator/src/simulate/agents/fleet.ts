/**
 * The simulated agents: who is connected, what each has in hand and how much of it is left. Work rests while its device is
 * away and goes on when it is back, as a real agent's does.
 */
import { random, seedFrom } from '@graft/core/random';
import type { Measures } from '@graft/models/evaluate/measures';

import type { Device } from '../devices/device.js';
import { presenceOf, type Period } from '../devices/presence.js';
import type { EventQueue } from '../event-queue.js';
import type { PendingTraining } from '../work/simulated-work.js';
import { durationOf, type Effort } from './timing.js';

/** Work in hand: an instruction, and the answer to it that is being made in the pool. */
export type Job =
  | { readonly kind: 'train'; readonly id: string; readonly round: number; readonly training: PendingTraining }
  | {
      readonly kind: 'evaluate';
      readonly id: string;
      readonly round: number;
      readonly measured: Promise<readonly Measures[]>;
    };

/** What happens to an agent, by its place in the population. */
export type Happening =
  | { readonly kind: 'presence'; readonly agent: number }
  | { readonly kind: 'begun' | 'finished' | 'dropped'; readonly agent: number; readonly turn: number };

interface InHand {
  readonly job: Job;
  leftMs: number;
  fetchLeftMs: number;
  readonly end: 'finished' | 'dropped';
  /** When it was taken up last; undefined while the device is away. */
  sinceMs: number | undefined;
}

interface AgentState {
  readonly device: Device;
  readonly periods: Iterator<Period, never>;
  connected: boolean;
  inHand: InHand | undefined;
  /** What happens of an earlier turn is over. */
  turn: number;
  /** The checkpoint that it fetched last. */
  cached: string;
}

export interface Fleet {
  /** Ids in order of their place; they sort in this order too. */
  readonly ids: readonly string[];
  agentOf(id: string): number;
  deviceOf(agent: number): Device;
  connectedIds(): string[];
  /** Connected agents that have work in hand. */
  busyIds(): string[];
  /** The next period of an agent begins. Answers whether it is connected now, and whether that has changed. */
  turnPresence(agent: number, atMs: number): { readonly connected: boolean; readonly changed: boolean };
  /** When work that is given now will be done if the device stays. */
  dueMs(agent: number, effort: Effort, atMs: number): number;
  /** Gives an agent work in place of what it has. */
  give(agent: number, job: Job, effort: Effort, atMs: number): void;
  inHand(agent: number): Job | undefined;
  /** Takes what an agent has in hand from it; undefined where it has nothing. */
  take(agent: number): Job | undefined;
  /** The work that something happened to; undefined where it is not in hand any more. */
  current(happening: { readonly agent: number; readonly turn: number }): Job | undefined;
  /** Notes a checkpoint at an agent. Answers the bytes that it had to fetch. */
  fetch(agent: number, blob: { readonly hash: string; readonly sizeBytes: number }): number;
}

export function createFleet(
  devices: readonly Device[],
  seed: number,
  queue: Pick<EventQueue<Happening>, 'add'>,
): Fleet {
  const digits = String(devices.length).length;
  const ids = devices.map((_, agent) => `agent-${String(agent + 1).padStart(digits, '0')}`);
  const places = new Map(ids.map((id, agent) => [id, agent]));
  const agents = devices.map((device, agent): AgentState => {
    const periods = presenceOf(device, seedFrom(seed, agent));
    const first = periods.next().value;
    queue.add(first.untilMs, { kind: 'presence', agent });
    return { device, periods, connected: first.connected, inHand: undefined, turn: 0, cached: '' };
  });
  const at = (agent: number): AgentState => {
    const state = agents[agent];
    if (state === undefined) throw new RangeError(`there is no agent ${agent}`);
    return state;
  };
  const takeUp = (agent: number, atMs: number): void => {
    const state = at(agent);
    if (state.inHand === undefined) return;
    const { leftMs, fetchLeftMs, end } = state.inHand;
    state.turn += 1;
    state.inHand.sinceMs = atMs;
    if (fetchLeftMs <= leftMs) queue.add(atMs + Math.max(0, fetchLeftMs), { kind: 'begun', agent, turn: state.turn });
    queue.add(atMs + leftMs, { kind: end, agent, turn: state.turn });
  };
  const rest = (agent: number, atMs: number): void => {
    const state = at(agent);
    state.turn += 1;
    if (state.inHand?.sinceMs === undefined) return;
    const spentMs = atMs - state.inHand.sinceMs;
    state.inHand.leftMs -= spentMs;
    state.inHand.fetchLeftMs -= spentMs;
    state.inHand.sinceMs = undefined;
  };
  const idsWhere = (wanted: (state: AgentState) => boolean): string[] => ids.filter((_, agent) => wanted(at(agent)));

  return {
    ids,
    agentOf: (id) => places.get(id) ?? -1,
    deviceOf: (agent) => at(agent).device,
    connectedIds: () => idsWhere(({ connected }) => connected),
    busyIds: () => idsWhere(({ connected, inHand }) => connected && inHand !== undefined),
    turnPresence: (agent, atMs) => {
      const state = at(agent);
      const { connected, untilMs } = state.periods.next().value;
      queue.add(untilMs, { kind: 'presence', agent });
      const changed = connected !== state.connected;
      state.connected = connected;
      if (changed && connected) takeUp(agent, atMs);
      if (changed && !connected) rest(agent, atMs);
      return { connected, changed };
    },
    dueMs: (agent, effort, atMs) => atMs + durationOf(at(agent).device, effort).totalMs,
    inHand: (agent) => at(agent).inHand?.job,
    give: (agent, job, effort, atMs) => {
      const state = at(agent);
      const { fetchMs, totalMs } = durationOf(state.device, effort);
      const chance = random(seedFrom('drop-out', seed, agent, job.kind, job.round));
      const drops = chance.next() < state.device.dropOut;
      const leftMs = drops ? totalMs * chance.next() : totalMs;
      state.inHand = { job, leftMs, fetchLeftMs: fetchMs, end: drops ? 'dropped' : 'finished', sinceMs: undefined };
      if (state.connected) takeUp(agent, atMs);
    },
    take: (agent) => {
      const state = at(agent);
      const job = state.inHand?.job;
      state.inHand = undefined;
      state.turn += 1;
      return job;
    },
    current: ({ agent, turn }) => (at(agent).turn === turn ? at(agent).inHand?.job : undefined),
    fetch: (agent, { hash, sizeBytes }) => {
      const state = at(agent);
      if (state.cached === hash) return 0;
      state.cached = hash;
      return sizeBytes;
    },
  };
}
