/**
 * The simulated agents: who is connected, what each has in hand and how much of it is left. Work rests while its device is
 * away and goes on when it is back. An agent that drops out loses its work and its connection; it comes back after a while
 * and begins again, as a real one does that finds the plan still open.
 */
import { random, seedFrom, type Random } from '@graft/core/random';
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

/** What happens to an agent, by its place in the population. What is of an earlier turn than the agent's is over. */
export type Happening =
  | { readonly kind: 'presence'; readonly agent: number }
  | { readonly kind: 'returned'; readonly agent: number }
  | { readonly kind: 'begun' | 'finished' | 'dropped'; readonly agent: number; readonly turn: number };

interface InHand {
  readonly job: Job;
  readonly totalMs: number;
  readonly fetchMs: number;
  leftMs: number;
  fetchLeftMs: number;
  /** Work after which the agent drops out; Infinity where it does not. */
  dropAfterMs: number;
  /** When it was taken up last; undefined while the device is away. */
  sinceMs: number | undefined;
}

interface Agent {
  readonly device: Device;
  readonly periods: Iterator<Period, never>;
  /** Whether the trace has it connected, and whether it has dropped out meanwhile. */
  isPresent: boolean;
  isOut: boolean;
  inHand: InHand | undefined;
  turn: number;
  /** The checkpoint that it fetched last. */
  cached: string;
}

/** How long an agent that dropped out stays away: uniform in [from, to). */
const outMs = { from: 60_000, to: 600_000 };

type Queue = Pick<EventQueue<Happening>, 'add'>;

export class Fleet {
  /** Ids in order of their place; they sort in this order too. */
  readonly ids: readonly string[];
  private readonly places: ReadonlyMap<string, number>;
  private readonly agents: readonly Agent[];

  constructor(
    devices: readonly Device[],
    private readonly seed: number,
    private readonly queue: Queue,
  ) {
    const digits = String(devices.length).length;
    this.ids = devices.map((_, place) => `agent-${String(place + 1).padStart(digits, '0')}`);
    this.places = new Map(this.ids.map((id, place) => [id, place]));
    this.agents = devices.map((device, place): Agent => {
      const periods = presenceOf(device, seedFrom(seed, place));
      const first = periods.next().value;
      queue.add(first.untilMs, { kind: 'presence', agent: place });
      return { device, periods, isPresent: first.connected, isOut: false, inHand: undefined, turn: 0, cached: '' };
    });
  }

  agentOf(id: string): number {
    return this.places.get(id) ?? -1;
  }

  deviceOf(place: number): Device {
    return this.at(place).device;
  }

  isConnected(place: number): boolean {
    return isConnected(this.at(place));
  }

  connectedIds(): string[] {
    return this.idsWhere(isConnected);
  }

  /** Connected agents that have work in hand. */
  busyIds(): string[] {
    return this.idsWhere((agent) => isConnected(agent) && agent.inHand !== undefined);
  }

  /** When work that is given now will be done if the device stays. */
  dueMs(place: number, effort: Effort, atMs: number): number {
    return atMs + durationOf(this.at(place).device, effort).totalMs;
  }

  /** Gives an agent work in place of what it has. */
  give(place: number, work: { readonly job: Job; readonly effort: Effort }, atMs: number): void {
    const { job, effort } = work;
    const agent = this.at(place);
    const { fetchMs, totalMs } = durationOf(agent.device, effort);
    const { next } = this.chance(place, job.kind, job.round);
    const dropAfterMs = next() < agent.device.dropOut ? totalMs * next() : Infinity;
    agent.turn += 1;
    agent.inHand = { job, totalMs, fetchMs, dropAfterMs, leftMs: totalMs, fetchLeftMs: fetchMs, sinceMs: undefined };
    if (isConnected(agent)) this.takeUp(place, atMs);
  }

  inHand(place: number): Job | undefined {
    return this.at(place).inHand?.job;
  }

  /** Takes what an agent has in hand from it. */
  take(place: number): void {
    letGo(this.at(place));
  }

  /** Lets something happen. Answers the work that was begun or finished by it; what is finished is not in hand any more. */
  happen(happening: Happening, atMs: number): Job | undefined {
    const place = happening.agent;
    const agent = this.at(place);
    if (happening.kind === 'begun' || happening.kind === 'finished') {
      if (happening.turn !== agent.turn) return undefined;
      const job = agent.inHand?.job;
      if (happening.kind === 'finished') letGo(agent);
      return job;
    }
    const before = isConnected(agent);
    this.move(agent, happening, atMs);
    const after = isConnected(agent);
    if (before && !after) layDown(agent, atMs, happening.kind === 'dropped');
    if (!before && after) this.takeUp(place, atMs);
    return undefined;
  }

  /** Notes a checkpoint at an agent. Answers the bytes that it had to fetch. */
  fetch(place: number, { hash, sizeBytes }: { readonly hash: string; readonly sizeBytes: number }): number {
    const agent = this.at(place);
    if (agent.cached === hash) return 0;
    agent.cached = hash;
    return sizeBytes;
  }

  private move(agent: Agent, happening: Happening, atMs: number): void {
    const place = happening.agent;
    if (happening.kind === 'presence') {
      const { connected, untilMs } = agent.periods.next().value;
      this.queue.add(untilMs, { kind: 'presence', agent: place });
      agent.isPresent = connected;
    } else if (happening.kind === 'returned') {
      agent.isOut = false;
    } else if (happening.turn === agent.turn && agent.inHand !== undefined) {
      const away = outMs.from + (outMs.to - outMs.from) * this.chance(place, 'return', atMs).next();
      this.queue.add(atMs + away, { kind: 'returned', agent: place });
      agent.isOut = true;
    }
  }

  /** Plans when the work in hand goes on to be begun, lost or finished. */
  private takeUp(place: number, atMs: number): void {
    const agent = this.at(place);
    const work = agent.inHand;
    if (work === undefined) return;
    agent.turn += 1;
    work.sinceMs = atMs;
    const { turn } = agent;
    const dropMs = work.dropAfterMs - (work.totalMs - work.leftMs);
    this.queue.add(atMs + Math.max(0, work.fetchLeftMs), { kind: 'begun', agent: place, turn });
    if (dropMs < work.leftMs) this.queue.add(atMs + Math.max(0, dropMs), { kind: 'dropped', agent: place, turn });
    else this.queue.add(atMs + work.leftMs, { kind: 'finished', agent: place, turn });
  }

  private at(place: number): Agent {
    const agent = this.agents[place];
    if (agent === undefined) throw new RangeError(`there is no agent ${place}`);
    return agent;
  }

  private idsWhere(wanted: (agent: Agent) => boolean): string[] {
    return this.ids.filter((_, place) => wanted(this.at(place)));
  }

  private chance(place: number, ...of: (string | number)[]): Random {
    return random(seedFrom('drop-out', this.seed, place, ...of));
  }
}

const isConnected = ({ isPresent, isOut }: Agent): boolean => isPresent && !isOut;

function letGo(agent: Agent): void {
  agent.inHand = undefined;
  agent.turn += 1;
}

/** The work rests; where it is lost, it begins again from the start. */
function layDown(agent: Agent, atMs: number, isLost: boolean): void {
  agent.turn += 1;
  const work = agent.inHand;
  if (work?.sinceMs === undefined) return;
  const spentMs = atMs - work.sinceMs;
  work.leftMs = isLost ? work.totalMs : work.leftMs - spentMs;
  work.fetchLeftMs = isLost ? work.fetchMs : work.fetchLeftMs - spentMs;
  if (isLost) work.dropAfterMs = Infinity;
  work.sinceMs = undefined;
}
