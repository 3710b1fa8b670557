/**
 * The coordinator's secrets, each in a file of its own that only its user can read: the CA that signs certificates, the Ed25519
 * identity that signs round keys and releases, and the master key that encrypts round keys in the store.
 * They are made once; whoever has a copy of them and of the store can be this coordinator.
 */
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { keyBytes, signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { randomSeed } from '@graft/protos/identity/random.adapter';
import { createCa, type CertifiedKey } from '@graft/protos/trust/authority.adapter';

export interface CoordinatorKeys {
  readonly ca: CertifiedKey;
  readonly identity: SigningKey;
  /** 32 bytes. */
  readonly masterKey: Uint8Array;
  /** Names this directory's coordinator among others on the same database, before and after a restart; no secret. */
  readonly instanceId: string;
}

/**
 * Reads the keys of a directory, and makes those that are not there yet.
 * @param shared folder of the secrets, where they do not lie in the directory; what names this coordinator alone always does
 */
export async function loadKeys(directory: string, atMs: number, shared?: string): Promise<CoordinatorKeys> {
  const own = join(directory, 'keys');
  await mkdir(own, { recursive: true, mode: 0o700 });
  await chmod(own, 0o700);
  const folder = shared ?? own;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ca = await once(join(folder, 'ca.json'), async () =>
    JSON.stringify(await createCa('graft coordinator CA', { atMs })),
  );
  const seed = async (name: string): Promise<Uint8Array> => {
    const file = join(folder, name);
    const text = await once(file, async () => Buffer.from(randomSeed()).toString('hex'));
    const bytes = Buffer.from(text.trim(), 'hex');
    if (bytes.byteLength !== keyBytes) throw damaged(file);
    return bytes;
  };
  return {
    ca: readCa(join(folder, 'ca.json'), ca),
    identity: signingKeyFromSeed(await seed('identity.seed')),
    masterKey: await seed('master.key'),
    instanceId: await once(join(own, 'instance.id'), async () =>
      Buffer.from(randomSeed()).toString('hex').slice(0, 16),
    ),
  };
}

function readCa(file: string, text: string): CertifiedKey {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(file, cause);
  }
  const { certificatePem, privateKeyPem } = Object(value) as Partial<CertifiedKey>;
  if (typeof certificatePem !== 'string' || typeof privateKeyPem !== 'string') throw damaged(file);
  return { certificatePem, privateKeyPem };
}

function damaged(file: string, cause?: unknown): GraftError {
  return new GraftError('KEYS_DAMAGED', `${file} does not hold the key that it should`, { cause });
}

/** The text of a file; where there is none, `make`s it, durable before it is used. */
async function once(file: string, make: () => Promise<string>): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const text = await make();
  await writeSecret(file, text);
  return text;
}

/** Writes a file that only its user can read, whole or not at all. */
export async function writeSecret(file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const folder = await open(join(file, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
