/**
 * The coordinator's arithmetic without arithmetic: what a fold answers shows whose deltas went in, what is measured is what
 * the operations say. Each piece of work takes a while, may fail, and dies with its coordinator.
 */
import type { Aggregator, FoldRequest, FoldResult } from '../../../coordinator/src/compute/aggregation.js';
import type { ModelWork } from '../../../coordinator/src/compute/model-work.js';
import type { Opened } from '../../../coordinator/src/rounds/admission.js';
import type { Pipeline } from '../../../models/src/pipeline/pipeline.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import { labels } from './tasks.js';
import { deltaOf, layoutHash, parameterCount, type SealedDelta, type Weights } from './weights.js';
import type { World } from './world.js';

const longestMs = { open: 50, fold: 1500, quantize: 1000, evaluate: 1000, prepare: 100 };

export function virtualAggregator(world: World, process: CoordinatorProcess): Aggregator {
  const { blobs, ledger } = world;
  return {
    open: async ({ update }) =>
      process.work('open', longestMs.open, () => openedAs(blobs.delta(update.ciphertext.hash).poison)),
    fold: async (request) => {
      const { runId } = blobs.delta(request.updates[0]?.ciphertext.hash ?? '');
      const round = blobs.weights(request.base.hash).sums.length + 1;
      ledger.performing({ kind: 'aggregate', runId, round, process: process.name });
      return process.work('fold', longestMs.fold, () => fold(request, world));
    },
    close: async () => undefined,
  };
}

function openedAs(poison: SealedDelta['poison']): Opened {
  if (poison === 'not-finite') return { kind: 'not-finite', index: 3, value: 'NaN' };
  if (poison === 'bad-envelope') return { kind: 'bad-envelope', message: 'chunk 0 does not open' };
  return { kind: 'opened', norm: poison === 'norm' ? 1e6 : 1 };
}

/** Sums what it is given, whatever that is: whether it should have been given is the invariants' to say. */
function fold({ updates, base }: FoldRequest, { blobs, ledger }: World): FoldResult {
  const { sums, nonces } = blobs.weights(base.hash);
  let sum = 0;
  const own: string[] = [];
  for (const { agentId: id, ciphertext } of updates) {
    const delta = blobs.delta(ciphertext.hash);
    ledger.folding({ delta, agentId: id });
    sum += deltaOf(delta.agent);
    own.push(delta.nonce);
  }
  const next = { kind: 'weights' as const, sums: [...sums, sum], nonces: [...nonces, own] };
  return {
    weights: blobs.store({ ...next, encoding: 'fp32' }),
    fp16: blobs.store({ ...next, encoding: 'fp16' }),
    report: { updateCount: updates.length, exampleCount: 10 * updates.length, norm: 1 },
  };
}

export function virtualWork(world: World, process: CoordinatorProcess): ModelWork {
  const { blobs, ledger } = world;
  const other = (name: string) => blobs.store({ kind: 'other', name });
  const base = (encoding: Weights['encoding']) => blobs.store({ kind: 'weights', encoding, sums: [], nonces: [] });
  const pipeline: Pipeline = {
    preprocessing: { kind: 'features', length: 4 },
    trunk: { graph: other('trunk'), weights: [other('trunk weights')] },
    tail: { graph: other('tail'), weights: [] },
    labels,
  };
  return {
    prepare: async ({ taskId, task }) =>
      process.work('prepare', longestMs.prepare, () => ({
        material:
          task.kind === 'probe'
            ? { kind: 'probe', taskId, layoutHash, parameterCount, add: task.add }
            : { kind: 'fit', taskId, layoutHash, parameterCount, pipeline, training: '{}', holdOut: 'a'.repeat(64) },
        base: { round: 0, weights: base('fp32'), fp16: base('fp16') },
      })),
    quantize: async ({ pipeline: fp32 }) => {
      ledger.performing({ kind: 'quantize', process: process.name });
      return process.work('quantize', longestMs.quantize, () => ({
        result: { pipeline: fp32, sizeBytesFp32: 100, sizeBytesInt8: 25 },
        ...(fp32.trunk && { frozenTrunk: fp32.trunk }),
      }));
    },
    evaluate: async () => {
      ledger.performing({ kind: 'evaluateCentral', process: process.name });
      return process.work('evaluate', longestMs.evaluate, () => {
        const measures = measuresAt(world.accuracy(), 100);
        return { fp32: measures, int8: measures, klSum: 1 };
      });
    },
    close: async () => undefined,
  };
}

export function measuresAt(accuracy: number, examples: number) {
  return { examples, correct: Math.round(accuracy * examples), lossSum: 20, latencyP50Ms: 1, latencyP95Ms: 2 };
}
