/** Sessions that stay loaded between rounds, by the hashes of what they were made of; the ones unused longest make room. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Model, Value } from '@graft/models/graph/graph';
import { loadPart } from '@graft/models/pipeline/load-part';
import type { Part } from '@graft/models/pipeline/pipeline';
import type { Runtime, Session, SessionOptions } from '@graft/models/runtime/runtime';

/** Trunk and tail in both precisions, the training step, the two calibrations, and as many of the next release. */
const keptSessions = 12;

/** One thread: the same bits on every repetition. Cores are for several agents of a host, not for one example. */
export const oneThread = { threads: 1 } as const;

export interface ResidentSession {
  readonly session: Session;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

export class ResidentSessions {
  private readonly sessions = new Map<string, Promise<ResidentSession>>();

  constructor(private readonly runtime: Runtime) {}

  /** The inference session of a part whose files lie in `blobs`. Throws MODEL_MALFORMED, WEIGHTS_MALFORMED. */
  part(part: Part, blobs: string): Promise<ResidentSession> {
    return this.keyed(`inference ${partKey(part)}`, 'inference', () => readPart(part, blobs));
  }

  /** A session of the model that `make` gives, made once for `key`. */
  keyed(key: string, purpose: SessionOptions['purpose'], make: () => Model | Promise<Model>): Promise<ResidentSession> {
    const known = this.sessions.get(key);
    this.sessions.delete(key);
    const made = known ?? this.load(purpose, make);
    this.sessions.set(key, made);
    if (known === undefined) {
      made.catch(() => {
        if (this.sessions.get(key) === made) this.sessions.delete(key);
      });
      this.evict();
    }
    return made;
  }

  private async load(purpose: SessionOptions['purpose'], make: () => Model | Promise<Model>): Promise<ResidentSession> {
    const model = await make();
    const { inputs, outputs } = model.graph;
    return { session: await this.runtime.load(model, { ...oneThread, purpose }), inputs, outputs };
  }

  private evict(): void {
    for (const [key, session] of this.sessions) {
      if (this.sessions.size <= keptSessions) return;
      this.sessions.delete(key);
      // What did not load was told to those who asked for it; what cannot be freed must not end the process.
      session.then(({ session: unused }) => unused.dispose()).catch(() => undefined);
    }
  }
}

/** The model of a part, read from its files. */
export async function readPart(part: Part, blobs: string): Promise<Model> {
  const files = await Promise.all([part.graph, ...part.weights].map(({ hash }) => readFile(join(blobs, hash))));
  const [graph, ...weights] = files;
  return loadPart(graph ?? new Uint8Array(), weights);
}

/** What a part is made of. */
export function partKey({ graph, weights }: Part): string {
  return [graph, ...weights].map(({ hash }) => hash).join(' ');
}
