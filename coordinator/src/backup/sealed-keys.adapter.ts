/**
 * The coordinator's keys in a backup: as they are, or under a passphrase (scrypt, RFC 7914, then AES-256-GCM), so that the backup may lie
 * where not everybody is trusted.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { GraftError } from '@graft/core/error';

import { writeSecret } from '../server/keys.adapter.js';

/** 64 MiB and about 0.2 s for one guess. */
const cost = { N: 2 ** 16, r: 8, p: 1, maxmem: 2 ** 27 };

const sealedSchema = z.object({ salt: z.string(), nonce: z.string(), tag: z.string(), box: z.string() });
const keysSchema = z.record(z.string().regex(/^[\w.-]+$/u), z.string());
const fileSchema = z.union([z.object({ keys: keysSchema }), z.object({ sealed: sealedSchema })]);

/** Names of the files, of which the last one may lie elsewhere. */
const keyNames = ['ca.json', 'identity.seed', 'master.key', 'instance.id'] as const;

/** The text of the backup's file for the keys of a folder. */
export async function packKeys(folder: string, passphrase?: string): Promise<string> {
  const keys: Record<string, string> = {};
  for (const name of keyNames) {
    const text = await textOf(join(folder, name));
    if (text !== undefined) keys[name] = text;
  }
  if (passphrase === undefined) return JSON.stringify({ keys });
  const [salt, nonce] = [randomBytes(16), randomBytes(12)];
  const cipher = createCipheriv('aes-256-gcm', scryptSync(passphrase, salt, 32, cost), nonce);
  const box = Buffer.concat([cipher.update(JSON.stringify(keys)), cipher.final()]);
  const texts = { salt, nonce, tag: cipher.getAuthTag(), box };
  return JSON.stringify({
    sealed: Object.fromEntries(Object.entries(texts).map(([name, bytes]) => [name, bytes.toString('base64')])),
  });
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes the keys of a backup into a folder; the same keys may lie there. Throws PASSPHRASE_WRONG, BACKUP_DAMAGED, RESTORE_NOT_EMPTY. */
export async function unpackKeys(text: string, folder: string, passphrase?: string): Promise<void> {
  const keys = openKeys(text, passphrase);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [name, value] of Object.entries(keys)) {
    const there = await textOf(join(folder, name));
    if (there !== undefined && there !== value && name !== 'instance.id')
      throw new GraftError('RESTORE_NOT_EMPTY', `${join(folder, name)} is another key than that of the backup`);
    if (there === undefined) await writeSecret(join(folder, name), value);
  }
}

/** Throws PASSPHRASE_WRONG, BACKUP_DAMAGED. */
export function openKeys(text: string, passphrase?: string): Readonly<Record<string, string>> {
  const parsed = fileSchema.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new GraftError('BACKUP_DAMAGED', 'the keys of the backup are not in the form that they should be');
  if ('keys' in parsed.data) return parsed.data.keys;
  if (passphrase === undefined)
    throw new GraftError('PASSPHRASE_WRONG', 'the keys of this backup are under a passphrase');
  const { sealed } = parsed.data;
  const bytes = (field: keyof typeof sealed): Buffer => Buffer.from(sealed[field], 'base64');
  const decipher = createDecipheriv('aes-256-gcm', scryptSync(passphrase, bytes('salt'), 32, cost), bytes('nonce'));
  decipher.setAuthTag(bytes('tag'));
  try {
    const opened = Buffer.concat([decipher.update(bytes('box')), decipher.final()]).toString();
    return keysSchema.parse(JSON.parse(opened));
  } catch (cause) {
    throw new GraftError('PASSPHRASE_WRONG', 'the passphrase is not the one that the backup was made with', { cause });
  }
}
