/** The task of a simulation, and what the store holds before it starts. */
import type { MemoryContents } from '../../../coordinator/src/rounds/memory-engine-store.contract.js';
import { taskSpecSchema } from '../../../models/src/pipeline/task-spec.js';
import { agentId, type Config } from '../input.js';
import type { VirtualBlobs } from './weights.js';

export const taskId = 'task';
export const masterKey = new Uint8Array(32).fill(9);
export const labels = ['zero', 'one'];

export function contentsFor(
  { kind, agents, rounds, cohort, windowMs, task }: Config,
  blobs: VirtualBlobs,
): MemoryContents {
  const shared = { name: taskId, rounds, cohort, windowMs, ...task };
  const spec = taskSpecSchema.parse(
    kind === 'probe'
      ? { ...shared, kind, parameters: 1000, add: 0.5 }
      : {
          ...shared,
          kind,
          model: 'reader',
          features: 'features',
          labels,
          scope: 'head',
          preprocessing: { kind: 'features', length: 4 },
          training: { loss: 'softmax-cross-entropy', optimizer: 'adam', learningRate: 0.01, epochs: 1, batchSize: 8 },
          holdOut: 'a'.repeat(64),
        },
  );
  const other = (name: string) => blobs.store({ kind: 'other', name });
  const card = {
    name: 'reader',
    description: 'a model without a network',
    source: 'here',
    license: 'Apache-2.0',
    input: 'x',
    features: [],
    preprocessing: { kind: 'features' as const, length: 4 },
  };
  const ids = Array.from({ length: agents }, (_, index) => agentId(index));
  return {
    tasks: { [taskId]: spec },
    models: { reader: { card, graph: other('graph'), weights: other('weights') } },
    signingKeys: Object.fromEntries(ids.map((id) => [id, new Uint8Array(32).fill(id.charCodeAt(0))])),
  };
}
