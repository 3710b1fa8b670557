/**
 * Features on disk, so that no epoch and no round computes the frozen trunk twice for one example.
 *
 * One segment file for each (trunk, preprocessing), of records of one size. Not a file for each example: 100 000 examples of 12 KB
 * would be 100 000 creations and renames and as many inodes; here one is a single positioned write, and the
 * records of an epoch lie side by side. A record: sha256 of the example (32 bytes), sequence number (float64),
 * CRC-32 of all else (uint32), 4 bytes of zero, the features as little-endian float32.
 *
 * A record that was cut off, torn by kill -9 or damaged fails its checksum and counts as absent: features are computed
 * again, never taken wrong. So nothing is synced: what a power cut loses costs time only. Past the limit of bytes the segment that
 * was not used for longest goes first; a segment that is alone overwrites its oldest records.
 * One writer at a time; a second one costs recomputation, not correctness.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  futimesSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import type { FeatureStore } from './cached-features.js';

export interface FeatureCacheOptions {
  readonly directory: string;
  /** sha256 in hex of everything that makes features out of examples; see `Pipeline`. */
  readonly trunkHash: string;
  readonly preprocessingHash: string;
  /** Numbers an example. */
  readonly length: number;
  /** Of all segments in the directory together. */
  readonly maxBytes: number;
  readonly nowMs: () => number;
}

const extension = '.features';
const hashBytes = 32;
const sequenceAt = hashBytes;
const checksumAt = sequenceAt + 8;
const headBytes = checksumAt + 8;

export class FeatureCache implements FeatureStore {
  private readonly file: number;
  private readonly path: string;
  private readonly record: Buffer;
  /** Slot of each example that seems to be there; the checksum decides when it is read. */
  private readonly slots = new Map<string, number>();
  /** Example and sequence number of each slot, to find the oldest. */
  private readonly owners: (string | undefined)[] = [];
  /** Slots whose record turned out to be damaged. */
  private readonly free: number[] = [];
  private sequence = 0;
  private oldest = 0;
  /** Bytes that this segment may have before others must go. */
  private roomBytes = 0;
  private isFull = false;

  /** Opens or creates the segment; reads the heads of its records. */
  constructor(private readonly options: FeatureCacheOptions) {
    for (const hash of [options.trunkHash, options.preprocessingHash]) {
      if (!/^[0-9a-f]{64}$/.test(hash)) throw new RangeError(`'${hash}' is no sha256`);
    }
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    const name = `${options.trunkHash}-${options.preprocessingHash}-${options.length}${extension}`;
    this.path = join(options.directory, name);
    this.file = openSync(this.path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.record = Buffer.alloc(headBytes + options.length * 4);
    this.readHeads();
    const nowSeconds = options.nowMs() / 1000;
    futimesSync(this.file, nowSeconds, nowSeconds);
  }

  /** The features of an example; undefined where they are absent or damaged. */
  get(exampleHash: string): Float32Array | undefined {
    const slot = this.slots.get(exampleHash);
    if (slot === undefined) return undefined;
    const read = readSync(this.file, this.record, 0, this.record.length, slot * this.record.length);
    const intact =
      read === this.record.length &&
      this.record.toString('hex', 0, hashBytes) === exampleHash &&
      this.record.readUInt32LE(checksumAt) === this.checksum();
    if (!intact) {
      this.slots.delete(exampleHash);
      this.free.push(slot);
      return undefined;
    }
    const features = new Float32Array(this.options.length);
    this.record.copy(new Uint8Array(features.buffer), 0, headBytes);
    return features;
  }

  /** Keeps the features of an example; a RangeError for another length or a hash that is none. */
  put(exampleHash: string, features: Float32Array): void {
    if (features.length !== this.options.length || !/^[0-9a-f]{64}$/.test(exampleHash)) {
      throw new RangeError(
        `${features.length} features of '${exampleHash}', expected ${this.options.length} of a sha256`,
      );
    }
    const slot = this.slots.get(exampleHash) ?? this.nextSlot();
    if (slot === undefined) return;
    this.record.write(exampleHash, 0, 'hex');
    this.record.writeDoubleLE(this.sequence++, sequenceAt);
    this.record.set(new Uint8Array(features.buffer, features.byteOffset, features.byteLength), headBytes);
    this.record.writeUInt32LE(this.checksum(), checksumAt);
    const displaced = this.owners[slot];
    if (displaced !== undefined && this.slots.get(displaced) === slot) this.slots.delete(displaced);
    if (!this.write(slot)) return;
    this.owners[slot] = exampleHash;
    this.slots.set(exampleHash, slot);
  }

  /** Examples that have a record. */
  get size(): number {
    return this.slots.size;
  }

  close(): void {
    closeSync(this.file);
  }

  private checksum(): number {
    return crc32(this.record.subarray(headBytes), crc32(this.record.subarray(0, checksumAt)));
  }

  /** A cut-off last record is dropped, and records past the limit, so that slots stay whole. */
  private readHeads(): void {
    const sizeBytes = fstatSync(this.file).size;
    const count = Math.min(Math.floor(sizeBytes / this.record.length), this.capacity());
    if (count * this.record.length < sizeBytes) ftruncateSync(this.file, count * this.record.length);
    const head = Buffer.alloc(headBytes);
    let oldest = Infinity;
    for (let slot = 0; slot < count; slot++) {
      if (readSync(this.file, head, 0, headBytes, slot * this.record.length) < headBytes) break;
      const hash = head.toString('hex', 0, hashBytes);
      const sequence = head.readDoubleLE(sequenceAt);
      this.owners[slot] = hash;
      this.slots.set(hash, slot);
      if (Number.isSafeInteger(sequence) && sequence >= this.sequence) this.sequence = sequence + 1;
      if (sequence < oldest) [oldest, this.oldest] = [sequence, slot];
    }
  }

  private capacity(): number {
    return Math.floor(this.options.maxBytes / this.record.length);
  }

  /** A new slot while there is room, else the oldest one; undefined where not one record fits. */
  private nextSlot(): number | undefined {
    const reused = this.free.pop();
    if (reused !== undefined) return reused;
    const capacity = this.isFull ? Math.min(this.capacity(), this.owners.length) : this.capacity();
    if (this.owners.length < capacity) {
      const ownBytes = (this.owners.length + 1) * this.record.length;
      if (ownBytes > this.roomBytes) this.roomBytes = this.makeRoom(ownBytes);
      return this.owners.length;
    }
    if (capacity === 0) return undefined;
    const slot = this.oldest % capacity;
    this.oldest = (slot + 1) % capacity;
    return slot;
  }

  /** Deletes other segments, the least recently used first, until this one has its bytes; returns how many it may have now. */
  private makeRoom(ownBytes: number): number {
    const others = readdirSync(this.options.directory)
      .filter((name) => name.endsWith(extension) && join(this.options.directory, name) !== this.path)
      .map((name) => join(this.options.directory, name))
      .map((path) => ({ path, stat: statSync(path, { throwIfNoEntry: false }) }))
      .flatMap(({ path, stat }) => (stat === undefined ? [] : [{ path, sizeBytes: stat.size, usedMs: stat.mtimeMs }]))
      .sort((a, b) => b.usedMs - a.usedMs);
    let room = others.reduce((rest, { sizeBytes }) => rest - sizeBytes, this.options.maxBytes);
    while (room < ownBytes) {
      const last = others.pop();
      if (last === undefined) break;
      rmSync(last.path, { force: true });
      room += last.sizeBytes;
    }
    return room;
  }

  /** False where the disk is full: the cache then keeps what it has and training goes on. */
  private write(slot: number): boolean {
    try {
      return writeSync(this.file, this.record, 0, this.record.length, slot * this.record.length) === this.record.length;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      this.isFull = true;
      return false;
    }
  }
}
