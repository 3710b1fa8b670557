/** Performs what the machine asks of the coordinator itself; each effect is idempotent and its result is an event. */
import type { Aggregator, SealedUpdate, WeighedUpdate } from '../compute/aggregation.js';
import type { ModelWork, ReportedRanges } from '../compute/model-work.js';
import { decodeUpdateManifest } from '@graft/protos/message-codec.adapter';
import { GraftError } from '@graft/core/error';

import type { EngineStore, Lease, ReportedUpdate } from './engine-store.js';
import type { OutboxEffect } from './machine/effect.js';
import { baseRound, updateWeight } from './machine/policy/staleness.js';
import type { RunState } from './machine/state.js';
import { keyOf, withCheckpoint, type StoredRun } from './material.js';
import { candidatePipeline } from './plans.js';
import { openSecretKey } from './round-keys.adapter.js';
import type { Untimed } from './run-owner.driver.js';
import type { SharedFolds } from './shared-folds.js';

export interface EffectDependencies {
  readonly store: Pick<EngineStore, 'updates'>;
  readonly aggregator: Aggregator;
  readonly work: ModelWork;
  readonly masterKey: Uint8Array;
  /** Large folds that other replicas take part in; absent where this coordinator is alone. */
  readonly shared?: { readonly folds: SharedFolds; readonly lease: Lease } | undefined;
}

/** Answers the event that the effect results in; rejects where it failed, which becomes `workFailed`. */
export async function performEffect(
  effect: OutboxEffect,
  run: StoredRun,
  dependencies: EffectDependencies,
): Promise<Untimed> {
  const { round, attempt } = effect;
  const of = { round, attempt };
  switch (effect.kind) {
    case 'advance':
      return { kind: 'advanced', ...of };
    case 'aggregate':
      return { kind: 'aggregated', ...of, ...(await aggregate(run, effect.agentIds, dependencies)) };
    case 'quantize':
      return { kind: 'quantized', ...of, ...(await quantize(run, effect.agentIds, dependencies)) };
    default:
      return { kind: 'evaluatedCentrally', ...of, result: await evaluate(run, dependencies) };
  }
}

type Aggregated = Pick<Extract<Untimed, { kind: 'aggregated' }>, 'candidate' | 'report'>;

async function aggregate(
  run: StoredRun,
  agentIds: readonly string[],
  { store, aggregator, masterKey, shared }: EffectDependencies,
): Promise<Aggregated> {
  const { machine, material } = run;
  const { round, attempt } = machine;
  const of = { base: machine.base.weights, parameterCount: material.parameterCount };
  const accepted = await acceptedUpdates(machine, agentIds, store);
  if (shared?.folds.takes(accepted.length) === true) {
    const updates = accepted.map(({ agentId, nonce }) => ({
      agentId,
      nonce,
      round: baseRound(machine, agentId),
      weight: updateWeight(machine, agentId),
    }));
    const { weights, fp16, report } = await shared.folds.fold({ lease: shared.lease, round, attempt, updates, ...of });
    return { candidate: { round, weights, fp16 }, report };
  }
  const secretKeys = new Map<number, Uint8Array>();
  const secretKey = (round: number): Uint8Array => {
    const known = secretKeys.get(round);
    if (known !== undefined) return known;
    const stored = keyOf(run, round);
    if (stored === undefined) throw new GraftError('INTERNAL', `round ${round} has no key`);
    const opened = openSecretKey(stored, masterKey);
    secretKeys.set(round, opened);
    return opened;
  };
  const updates = accepted.map((update): WeighedUpdate => {
    const { agentId } = update;
    return {
      ...update,
      roundSecretKey: secretKey(baseRound(machine, agentId)),
      weight: updateWeight(machine, agentId),
    };
  });
  const { weights, fp16, report } = await aggregator.fold({ updates, ...of });
  return { candidate: { round, weights, fp16 }, report };
}

async function quantize(
  { machine, material }: StoredRun,
  agentIds: readonly string[],
  { store, work }: EffectDependencies,
): Promise<Pick<Extract<Untimed, { kind: 'quantized' }>, 'result' | 'frozenTrunk'>> {
  if (material.kind === 'probe' || machine.candidate === undefined) {
    return { result: { none: 'there is no candidate to quantize' } };
  }
  const ranges = (await acceptedUpdates(machine, agentIds, store)).map(rangesOf);
  const pipeline = withCheckpoint(material.pipeline, machine.candidate.weights);
  return work.quantize({ pipeline, ranges, ...(machine.frozenTrunk && { frozenTrunk: machine.frozenTrunk }) });
}

async function evaluate(
  { machine, material }: StoredRun,
  { work }: EffectDependencies,
): ReturnType<ModelWork['evaluate']> {
  const fp32 = candidatePipeline(machine, material);
  if (material.kind === 'probe' || material.holdOut === undefined || fp32 === undefined) {
    return { none: 'there is nothing to evaluate on' };
  }
  const { quantized } = machine;
  const int8 = quantized !== undefined && 'pipeline' in quantized ? quantized.pipeline : undefined;
  return work.evaluate({ fp32, holdOut: material.holdOut, ...(int8 && { int8 }) });
}

/** The updates that the state counts as accepted, in canonical order: by agent id, by code unit. */
async function acceptedUpdates(
  machine: RunState,
  agentIds: readonly string[],
  store: EffectDependencies['store'],
): Promise<(SealedUpdate & Pick<ReportedUpdate, 'nonce'>)[]> {
  const noncesByRound = new Map<number, string[]>();
  for (const id of agentIds) {
    const nonce = machine.members[id]?.update?.nonce;
    const round = baseRound(machine, id);
    if (nonce !== undefined) noncesByRound.set(round, [...(noncesByRound.get(round) ?? []), nonce]);
  }
  const found = await Promise.all(
    [...noncesByRound].map(([round, nonces]) => store.updates(machine.plan.runId, round, nonces)),
  );
  const updates = found.flat();
  const byAgent = new Map(updates.map((update) => [update.agentId, update]));
  return [...agentIds].sort().map((id) => {
    const update = byAgent.get(id);
    if (update === undefined) throw new GraftError('INTERNAL', `the accepted update of agent ${id} is not stored`);
    return update;
  });
}

function rangesOf({ agentId, manifest }: SealedUpdate): ReportedRanges {
  const { training } = decodeUpdateManifest(manifest);
  return { agentId, trunk: training?.trunkRanges ?? [], tail: training?.tailRanges ?? [] };
}
