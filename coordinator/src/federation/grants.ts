/**
 * What an agent may read and send: the blobs that an instruction to it named, and sealed updates of the size that a plan implies.
 * Kept in memory only: unsettled instructions are sent again on every connection, and grant the same again.
 */
import { GraftError } from '@graft/core/error';
import { preprocessingSchema } from '@graft/models/pipeline/preprocessing';
import type * as wire from '@graft/protos/messages';

import type { Rates } from '../transfers/agent-paces.js';

/** Blobs that one agent may read at the same time; a plan names about ten. */
const readableBlobs = 4096;

/** Retries of one plan's upload: each sealing has a hash of its own. */
const uploadsPerPlan = 8;

/** Frames, tags and manifest around a sealed delta: generous beside 1 MiB chunks, nothing beside a model. */
const sealingBytes = (deltaBytes: number): number => 65_536 + Math.ceil(deltaBytes / 256);

interface Grant {
  /** In the order in which they were last named. */
  readonly readable: Set<string>;
  /** Blobs of earlier instructions, read from the store when they are asked for. */
  earlier?: Promise<ReadonlySet<string>>;
  largestUpload: number;
  uploadBytesLeft: number;
  /** Of the plan that was sent last. */
  rates: Rates;
}

export interface Grants {
  /** Notes what an instruction that is being sent to an agent allows it. */
  instructed(agentId: string, instruction: wire.Instruction): void;
  mayRead(agentId: string, hash: string): boolean;
  /** Whether an instruction of now or earlier named the blob, also one that was settled before the coordinator started. */
  mayHaveRead(agentId: string, hash: string): Promise<boolean>;
  /** How fast blobs may pass, by the plan that was sent last. */
  rates(agentId: string): Rates;
  /** Throws UPLOAD_UNEXPECTED where no plan asked for an upload, TOO_LARGE where it is more than the plan implies. */
  checkUpload(agentId: string, sizeBytes: number): void;
  /** Takes received bytes from what is left; throws TOO_LARGE where it is used up. */
  takeUploadBytes(agentId: string, bytes: number): void;
}

/** @param instructionsOf the latest instructions of an agent, settled or not; none where they are not kept */
export function grants(
  instructionsOf: (agentId: string) => Promise<readonly wire.Instruction[]> = async () => [],
): Grants {
  const agents = new Map<string, Grant>();
  const of = (agentId: string): Grant => {
    const known = agents.get(agentId);
    if (known !== undefined) return known;
    const fresh: Grant = { readable: new Set(), largestUpload: 0, uploadBytesLeft: 0, rates: {} };
    agents.set(agentId, fresh);
    return fresh;
  };
  return {
    instructed: (agentId, instruction) => {
      const grant = of(agentId);
      for (const hash of blobsOf(instruction)) {
        grant.readable.delete(hash);
        grant.readable.add(hash);
      }
      for (const oldest of grant.readable) {
        if (grant.readable.size <= readableBlobs) break;
        grant.readable.delete(oldest);
      }
      if (instruction.kind !== 'train') return;
      // An agent may have plans of several runs in hand: the largest of them counts.
      grant.largestUpload = Math.max(grant.largestUpload, uploadLimit(instruction.train));
      grant.uploadBytesLeft = uploadsPerPlan * grant.largestUpload;
      const { maxUploadBytesPerS: up = 0, maxDownloadBytesPerS: down = 0 } = instruction.train;
      grant.rates = { ...(up > 0 && { up }), ...(down > 0 && { down }) };
    },
    mayRead: (agentId, hash) => agents.get(agentId)?.readable.has(hash) ?? false,
    mayHaveRead: async (agentId, hash) => {
      const grant = of(agentId);
      if (grant.readable.has(hash)) return true;
      grant.earlier ??= instructionsOf(agentId).then((all) => new Set(all.flatMap(blobsOf)));
      try {
        return (await grant.earlier).has(hash);
      } catch (error) {
        delete grant.earlier;
        throw error;
      }
    },
    rates: (agentId) => agents.get(agentId)?.rates ?? {},
    checkUpload: (agentId, sizeBytes) => {
      const largest = agents.get(agentId)?.largestUpload ?? 0;
      if (largest === 0) throw new GraftError('UPLOAD_UNEXPECTED', `no plan asks agent ${agentId} for an upload`);
      if (sizeBytes > largest) {
        throw new GraftError('TOO_LARGE', `an upload of ${sizeBytes} bytes, the plan implies at most ${largest}`);
      }
    },
    takeUploadBytes: (agentId, bytes) => {
      const grant = of(agentId);
      if (bytes > grant.uploadBytesLeft) {
        throw new GraftError(
          'TOO_LARGE',
          `the plan allows ${uploadsPerPlan} uploads of ${grant.largestUpload} bytes, all are used up`,
        );
      }
      grant.uploadBytesLeft -= bytes;
    },
  };
}

/** Largest sealed delta of a plan: a float32 for each parameter of the base, and what sealing adds. */
export function uploadLimit({ base, baseEncoding }: wire.TrainPlan): number {
  const deltaBytes = (base?.sizeBytes ?? 0) * (baseEncoding === 'fp16' ? 2 : 1);
  return deltaBytes + sealingBytes(deltaBytes);
}

const hashes = /[0-9a-f]{64}/gu;

function blobsOf(instruction: wire.Instruction): string[] {
  switch (instruction.kind) {
    case 'train':
      return [
        ...blobOf(instruction.train.base),
        ...(instruction.train.work === 'fit' ? inPipeline(instruction.train.fit.pipeline) : []),
      ];
    case 'evaluate':
      return [...inPipeline(instruction.evaluate.fp32), ...inPipeline(instruction.evaluate.int8)];
    case 'install':
      return new TextDecoder().decode(instruction.install.manifest).match(hashes) ?? [];
    default:
      return [];
  }
}

function inPipeline(pipeline: wire.Pipeline | null | undefined): string[] {
  if (pipeline === null || pipeline === undefined) return [];
  const parts = [pipeline.trunk, pipeline.tail].flatMap((part) =>
    part === null || part === undefined ? [] : [...blobOf(part.graph), ...part.weights.flatMap(blobOf)],
  );
  return [...parts, ...inPreprocessing(pipeline.preprocessing)];
}

/** The tokenizer of a text. */
function inPreprocessing(text: string): string[] {
  const preprocessing = preprocessingSchema.safeParse(JSON.parse(text)).data;
  return preprocessing?.kind === 'text' ? [preprocessing.tokenizer.hash] : [];
}

const blobOf = (blob: wire.BlobRef | null): string[] => (blob === null ? [] : [blob.hash]);
