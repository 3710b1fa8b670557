import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadKeys } from './keys.adapter.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'graft keys '));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

test('keys are made once, and only their user can read them', async () => {
  const first = await loadKeys(directory, Date.now());
  const again = await loadKeys(directory, Date.now());
  expect(again.ca).toEqual(first.ca);
  expect([...again.masterKey]).toEqual([...first.masterKey]);
  expect([...again.identity.publicKey]).toEqual([...first.identity.publicKey]);
  expect((await stat(join(directory, 'keys'))).mode & 0o777).toBe(0o700);
  for (const file of ['ca.json', 'identity.seed', 'master.key']) {
    expect((await stat(join(directory, 'keys', file))).mode & 0o777).toBe(0o600);
  }
});

test('the secrets differ from each other and from another coordinator’s', async () => {
  const { masterKey, identity } = await loadKeys(directory, Date.now());
  const other = await mkdtemp(join(tmpdir(), 'graft keys '));
  const foreign = await loadKeys(other, Date.now());
  await rm(other, { recursive: true });
  const all = [masterKey, identity.publicKey, foreign.masterKey, foreign.identity.publicKey].map((key) =>
    Buffer.from(key).toString('hex'),
  );
  expect(new Set(all).size).toBe(4);
});

test.each([
  ['ca.json', '{"certificatePem": 5}'],
  ['ca.json', 'not json'],
  ['identity.seed', 'abcd'],
  ['master.key', ''],
])('a damaged %s is named, and not replaced', async (file, text) => {
  await loadKeys(directory, Date.now());
  await writeFile(join(directory, 'keys', file), text);
  await expect(loadKeys(directory, Date.now())).rejects.toMatchObject({
    code: 'KEYS_DAMAGED',
    message: expect.stringContaining(file),
  });
  expect(await readFile(join(directory, 'keys', file), 'utf8')).toBe(text);
});
