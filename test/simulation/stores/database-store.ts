/** The real repository over an embedded database in memory, whose clock is the simulation's. */
import type { MemoryContents } from '../../../coordinator/src/rounds/memory-engine-store.contract.js';
import type { SimulatedStore } from './simulated-store.js';

export async function databaseStore(_c: MemoryContents, _n: () => number): Promise<SimulatedStore> {
  throw new Error('later');
}
