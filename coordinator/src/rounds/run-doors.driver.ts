/** The way to a run, wherever its owner is: what is known of it, and what is told to it. */
import { GraftError } from '@graft/core/error';

import { checkOpened } from './admission.js';
import type { Elsewhere } from './elsewhere.js';
import type { EventContext } from './engine-store.js';
import type { RunState } from './machine/state.js';
import type { StoredRun } from './material.js';
import { noUpdate, summaryOf } from './report-values.js';
import type { Answer, RunMessage, UpdateMessage } from './run-message.js';
import type { RunOwner, Untimed } from './run-owner.driver.js';

export interface RunDoors {
  /**
   * An open run, as its owner has it or as it was stored a moment ago; undefined where none is to be reached.
   * @param round that is asked for
   */
  look(runId: string, round: number): Promise<StoredRun | undefined>;
  /** Whether there is such a run. */
  isOpen(runId: string): Promise<boolean>;
  /** Runs that wait for this agent's update. */
  training(agentId: string): Promise<readonly StoredRun[]>;
  /** Tells a run; undefined where it takes no messages any more. @param key stays the same when the message is sent again */
  tell(runId: string, key: string, message: RunMessage): Promise<Answer | undefined>;
}

/** @param elsewhere absent where this coordinator is alone: then a run that is not owned here is not to be reached */
export function runDoors(owners: ReadonlyMap<string, RunOwner>, elsewhere?: Elsewhere): RunDoors {
  return {
    look: async (runId, round) => owners.get(runId)?.current() ?? elsewhere?.stored(runId, round),
    isOpen: async (runId) => owners.has(runId) || ((await elsewhere?.isOpen(runId)) ?? false),
    training: async (agentId) => {
      const here = [...owners.values()].map((owner) => owner.current());
      const known = new Set(here.map(({ machine }) => machine.plan.runId));
      const there = (await elsewhere?.training(agentId)) ?? [];
      return [
        ...here.filter(({ machine }) => machine.phase === 'training'),
        ...there.filter(({ machine }) => !known.has(machine.plan.runId)),
      ];
    },
    tell: async (runId, key, message) => {
      const owner = owners.get(runId);
      if (owner === undefined) return elsewhere?.send(runId, key, message);
      try {
        return await tellOwner(owner, message, elsewhere);
      } catch (error) {
        if (elsewhere === undefined || !hasLeft(error)) throw error;
        return elsewhere.send(runId, key, message);
      }
    },
  };
}

/** The run was taken over, or has just been given away. */
function hasLeft(error: unknown): boolean {
  return error instanceof GraftError && (error.code === 'LEASE_LOST' || error.code === 'UNAVAILABLE');
}

/**
 * Tells an owner in its turn. An answer that changed nothing was read from memory, and what is in memory is old where another
 * replica has taken the run over: then this throws LEASE_LOST instead.
 */
export async function tellOwner(
  owner: RunOwner,
  message: RunMessage,
  elsewhere?: Pick<Elsewhere, 'confirm'>,
  inboxSeq?: number,
): Promise<Answer> {
  const context: EventContext = {
    ...(message.kind === 'update' ? reportOf(message) : {}),
    ...(inboxSeq !== undefined && { inboxSeq }),
  };
  const step = await owner.feed((state) => eventOf(message, state), context);
  if (inboxSeq === undefined && (step === undefined || step.effects.length === 0))
    await elsewhere?.confirm(owner.lease);
  return step?.verdict === undefined ? {} : { verdict: step.verdict };
}

function eventOf(message: RunMessage, state: RunState): Untimed {
  switch (message.kind) {
    case 'update':
      return updateEvent(message, state);
    case 'unread': {
      const { agentId, refusal } = message;
      return { kind: 'updateReceived', agentId, round: state.round, update: noUpdate, refusal };
    }
    case 'failure':
      return { ...message, kind: 'failureReported' };
    case 'evaluation':
      return { ...message, kind: 'evaluationReported' };
    default:
      return { kind: 'stopRequested', reason: message.reason };
  }
}

function updateEvent({ agentId, manifest, checked }: UpdateMessage, state: RunState): Untimed {
  const norm = checked.kind === 'opened' && checked.opened.kind === 'opened' ? checked.opened.norm : 0;
  const update = summaryOf(manifest, norm);
  const refusal =
    checked.kind === 'refused'
      ? checked.refusal
      : checked.kind === 'opened'
        ? checkOpened(checked.opened, state)
        : // Between the look and the turn the machine may have begun to want it: then the agent has to report again.
          ({ reason: 'incomplete', message: 'the round has just changed; report again' } as const);
  return { kind: 'updateReceived', agentId, round: manifest.round, update, ...(refusal && { refusal }) };
}

/** The signed report behind an update that was opened. */
function reportOf({ agentId, manifest, bytes, checked }: UpdateMessage): Pick<EventContext, 'report'> {
  const { ciphertext, round, exampleCount } = manifest;
  if (ciphertext === null || checked.kind !== 'opened') return {};
  const { nonce } = summaryOf(manifest, 0);
  return { report: { agentId, round, nonce, manifest: bytes, ciphertext, exampleCount } };
}
