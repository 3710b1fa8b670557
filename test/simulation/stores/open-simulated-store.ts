/** The store that a configuration asks for. */
import type { MemoryContents } from '../../../coordinator/src/rounds/memory-engine-store.contract.js';
import type { Config } from '../input.js';
import { databaseStore } from './database-store.js';
import { memoryStore } from './memory-store.js';
import type { SimulatedStore } from './simulated-store.js';

export async function openSimulatedStore(
  { store }: Config,
  contents: MemoryContents,
  nowMs: () => number,
): Promise<SimulatedStore> {
  return store === 'memory' ? memoryStore(contents, nowMs) : databaseStore(contents, nowMs);
}
