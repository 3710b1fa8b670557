/** The engine's store in memory, the one that the contract suite of engine stores runs on. */
import {
  memoryEngineStore,
  type MemoryContents,
} from '../../../coordinator/src/rounds/memory-engine-store.contract.js';
import { newRoundKey, publicRoundKey } from '../../../coordinator/src/rounds/round-keys.adapter.js';
import type { StoredRun } from '../../../coordinator/src/rounds/material.js';
import { coordinatorIdentity } from '../../../coordinator/src/compute/sealing.contract.js';
import { masterKey } from '../world/tasks.js';
import type { SimulatedStore } from './simulated-store.js';

/** Real, and the same in every round: making one takes longer than a round of the simulation. */
const roundKey = newRoundKey({ runId: '', round: 1 }, coordinatorIdentity, masterKey);

export function memoryStore(contents: MemoryContents, nowMs: () => number): SimulatedStore {
  let lastId = 0;
  const store = memoryEngineStore(
    contents,
    {
      newId: () => `instruction-${(lastId += 1)}`,
      newRoundKey: ({ round }) => ({ ...roundKey, round }),
      publicRoundKey,
      signRelease: () => new Uint8Array(64),
    },
    nowMs,
  );
  const { rows } = store;
  return {
    as: (owner) => ({ ...store.as(owner), unsettled: async (agentId) => store.unsettled(agentId) }),
    contents: async () => ({
      runs: [...rows.runs].map(([runId, { json }]) => ({ runId, run: JSON.parse(json) as StoredRun })),
      outbox: rows.outbox,
      checkpoints: rows.checkpoints,
      releases: rows.releases,
      records: [...rows.records].map(([key, record]) => ({
        runId: key.split('/')[0] ?? '',
        round: record.round,
        record,
      })),
      updates: rows.updates,
      unsettled: rows.instructions.filter(({ settled }) => !settled),
    }),
    release: async (agentId, atMs) => store.release(agentId, atMs),
    close: async () => undefined,
  };
}
