/** What a simulation is made of, as plain JSON: the same input gives the same trace, event for event. */
import type { RunSettings } from '../../coordinator/src/rounds/run-plan.js';

export interface Input {
  /** Seeds the latencies, the losses and the order in which pending work goes on. */
  readonly seed: number;
  readonly config: Config;
  readonly ops: readonly Op[];
}

export interface Config {
  readonly kind: 'probe' | 'fit';
  readonly store: 'memory' | 'database';
  /** Agents are called a, b, c ...; at most 10. */
  readonly agents: number;
  readonly rounds: number;
  readonly cohort: { readonly min: number; readonly goal: number; readonly max: number };
  readonly windowMs: number;
  readonly settings: Partial<RunSettings>;
  /** Fields of the task beyond those: policy, selection, deadline. */
  readonly task: Readonly<Record<string, unknown>>;
  /** Longest latency of a message and of a store call. */
  readonly networkMs: number;
  readonly storeMs: number;
  /** How long training takes at an agent that is not slow. */
  readonly trainMs: number;
  /** Share of requests, and of answers, that are lost on their way. */
  readonly lossRate: number;
}

export type When = 'before' | 'after';
/** What makes an update one that must not count. */
export type Poison = 'not-finite' | 'bad-envelope' | 'norm' | 'layout' | 'examples' | 'stale-base' | 'incomplete';

export type Op =
  /** Lets so much virtual time pass. */
  | { readonly op: 'advance'; readonly ms: number }
  /** An agent starts, or starts again. */
  | { readonly op: 'checkIn'; readonly agent: number }
  /** An agent is gone; the coordinator learns of it at once, or by its keepalive where the host died. */
  | { readonly op: 'dropOut'; readonly agent: number; readonly silent: boolean }
  /** An agent's process dies and comes back: what it had sealed is on its disk, what it trained is not. */
  | { readonly op: 'agentCrash'; readonly agent: number; readonly downMs: number }
  /** Sends again what the agent sealed last, once or twice at the same time. */
  | { readonly op: 'report'; readonly agent: number }
  | { readonly op: 'reportTwice'; readonly agent: number }
  /** Sends the update of an earlier round again. */
  | { readonly op: 'reportStale'; readonly agent: number }
  /** Sends a second update of the round in hand, sealed anew. */
  | { readonly op: 'reportAnew'; readonly agent: number }
  | { readonly op: 'reportForged'; readonly agent: number }
  /** The next update of an agent is bad, or its next training fails. */
  | { readonly op: 'poison'; readonly agent: number; readonly how: Poison }
  | { readonly op: 'trainingFails'; readonly agent: number }
  | { readonly op: 'slow'; readonly agent: number; readonly factor: number }
  /** The coordinator dies at its n-th call from now, and starts again. */
  | {
      readonly op: 'crash';
      readonly at: 'store' | 'transport';
      readonly nth: number;
      readonly when: When;
      readonly downMs: number;
    }
  /** Calls from the n-th on are refused, or lose their answer, and the coordinator lives on. */
  | { readonly op: 'storeFails'; readonly nth: number; readonly when: When; readonly times: number }
  /** The coordinator is told to stop, and started again. */
  | { readonly op: 'restart'; readonly downMs: number }
  /** The coordinator stands still (a paused machine); another takes its runs once their leases end. */
  | { readonly op: 'freeze'; readonly ms: number }
  /** No byte passes between an agent and the coordinator. */
  | { readonly op: 'partition'; readonly agent: number }
  | { readonly op: 'heal' }
  /** The coordinator's clock jumps, forward or back. */
  | { readonly op: 'clockJump'; readonly ms: number }
  /** Nothing can be written for a while: no row, no blob. */
  | { readonly op: 'diskFull'; readonly ms: number }
  /** From now on candidates measure so accurate. */
  | { readonly op: 'evaluateWorse'; readonly accuracy: number }
  | { readonly op: 'workFails'; readonly work: 'fold' | 'quantize' | 'evaluate'; readonly times: number }
  /** The operator starts another run of the task, or stops the newest. */
  | { readonly op: 'start' }
  | { readonly op: 'stop' }
  /** The operator lets an agent back that is in quarantine. */
  | { readonly op: 'release'; readonly agent: number };

export type OpKind = Op['op'];

export function agentId(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index);
}
