/**
 * Checkpoints of trainings on disk, so that an agent that was killed goes on where it was.
 * They hold weights that were trained on the site's data: they never leave the site's directory, and only its owner reads them.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { sha256 } from '@graft/models/formats/sha256.adapter';
import { isStateOf } from '@graft/models/training/state-buffers';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type TrainingCheckpoint,
} from '@graft/models/training/training-checkpoint';
import type { TrainingStep } from '@graft/models/training/training-step';

import { isMissing, writeFileAtomically } from '../../config/files.adapter.js';

const extension = '.checkpoint';

/** Trainings whose checkpoints are kept: those in hand, and a few that may come again. */
const keptFiles = 4;

export class CheckpointFiles {
  constructor(private readonly directory: string) {}

  /** Undefined where there is none for this key, it is damaged, or it has another state than the step: then training begins anew. */
  async load(key: string, step: TrainingStep): Promise<TrainingCheckpoint | undefined> {
    try {
      const found = decodeCheckpoint(key, await readFile(this.fileOf(key)));
      return found !== undefined && isStateOf(step, found.state) ? found : undefined;
    } catch (error) {
      if (!isMissing(error)) await this.remove(key);
      return undefined;
    }
  }

  /** Durably, in place of the one before; the oldest of other trainings make room. */
  async save(key: string, checkpoint: TrainingCheckpoint): Promise<void> {
    await writeFileAtomically(this.fileOf(key), encodeCheckpoint(key, checkpoint), 0o600);
    await this.sweep();
  }

  async remove(key: string): Promise<void> {
    await rm(this.fileOf(key), { force: true });
  }

  private fileOf(key: string): string {
    return join(this.directory, `${sha256(new TextEncoder().encode(key))}${extension}`);
  }

  private async sweep(): Promise<void> {
    const names = (await readdir(this.directory)).filter((name) => name.endsWith(extension));
    const files = await Promise.all(
      names.map(async (name) => ({ name, mtimeMs: (await stat(join(this.directory, name))).mtimeMs })),
    );
    const newestFirst = files.sort((a, b) => b.mtimeMs - a.mtimeMs);
    for (const { name } of newestFirst.slice(keptFiles)) await rm(join(this.directory, name), { force: true });
    await this.sweepUnfinished();
  }

  /** What a process was killed over: it never got its name. One trainer writes here, and this one writes nothing now. */
  private async sweepUnfinished(): Promise<void> {
    const names = (await readdir(this.directory)).filter((name) => name.endsWith('.tmp'));
    for (const name of names) await rm(join(this.directory, name), { force: true });
  }
}
