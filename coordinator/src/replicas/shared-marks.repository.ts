/** What all replicas of a database must have in common, written down by the first and compared by the others. */
import { createHash, randomUUID } from 'node:crypto';

import type { Kysely } from 'kysely';

import { GraftError } from '@graft/core/error';

import type { BlobStore } from '../blobs/blob-store.js';
import type { Database } from '../store/schema.js';

/** The mark of a name: the one that is stored, or this one, which then is. */
async function mark(db: Kysely<Database>, name: string, value: string): Promise<string> {
  await db
    .insertInto('shared_marks')
    .values({ name, value })
    .onConflict((on) => on.column('name').doNothing())
    .execute();
  const row = db.selectFrom('shared_marks').select('value').where('name', '=', name);
  return (await row.executeTakeFirstOrThrow()).value;
}

/** Secrets of a coordinator, as bytes. */
export interface SharedSecrets {
  readonly caCertificate: string;
  readonly identityKey: Uint8Array;
  readonly masterKey: Uint8Array;
}

/**
 * Compares the secrets of this replica with those that the database was first used with, by fingerprints that disclose nothing:
 * each is a sha256 over 32 random bytes or over what is public. Throws KEYS_DIFFER, naming the files.
 */
export async function checkSharedSecrets(db: Kysely<Database>, secrets: SharedSecrets): Promise<void> {
  const named = [
    ['ca.json', Buffer.from(secrets.caCertificate)],
    ['identity.seed', secrets.identityKey],
    ['master.key', secrets.masterKey],
  ] as const;
  const other: string[] = [];
  for (const [file, secret] of named) {
    const fingerprint = createHash('sha256').update(`graft fingerprint of ${file}\n`).update(secret).digest('hex');
    if ((await mark(db, file, fingerprint)) !== fingerprint) other.push(file);
  }
  if (other.length === 0) return;
  throw new GraftError('KEYS_DIFFER', `${other.join(', ')}: not the secrets that this database is used with`, {
    details: { files: other.join(', ') },
  });
}

/** Checks that this replica sees the blobs of the others, by a small blob of the first. Throws BLOBS_NOT_SHARED. */
export async function checkSharedBlobs(db: Kysely<Database>, blobs: Pick<BlobStore, 'has' | 'put'>): Promise<void> {
  const stored = await db.selectFrom('shared_marks').select('value').where('name', '=', 'blobs').executeTakeFirst();
  const hash = stored?.value ?? (await firstMark(db, blobs));
  if ((await blobs.has(hash)) !== undefined) return;
  throw new GraftError('BLOBS_NOT_SHARED', `the blob store of this coordinator does not hold the mark ${hash}`);
}

async function firstMark(db: Kysely<Database>, blobs: Pick<BlobStore, 'put'>): Promise<string> {
  const { hash } = await blobs.put(Buffer.from(`graft blob store ${randomUUID()}\n`));
  return mark(db, 'blobs', hash);
}
