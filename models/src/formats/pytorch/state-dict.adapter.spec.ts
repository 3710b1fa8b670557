/** State dicts that PyTorch wrote: test/vectors/make_state_dicts.py. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { bytesOf } from '@graft/core/tensor';
import { assert, asyncProperty, integer } from 'fast-check';
import { ZipFile } from 'yazl';

import { readStateDict } from './state-dict.adapter.js';

interface Vectors {
  readonly expected: Readonly<Record<string, { dtype: string; shape: number[]; data: string }>>;
  readonly files: Readonly<Record<string, string>>;
  readonly module: string;
}

const path = join(import.meta.dirname, '../../../../test/vectors/state-dicts.json');
const { expected, files, module } = JSON.parse(readFileSync(path, 'utf8')) as Vectors;
const bytesFrom = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

async function zip(entries: Readonly<Record<string, string>>): Promise<Uint8Array> {
  const archive = new ZipFile();
  for (const [name, content] of Object.entries(entries)) archive.addBuffer(Buffer.from(content, 'latin1'), name);
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(chunk as Buffer);
  return new Uint8Array(Buffer.concat(chunks));
}

/** A pickle that calls a name with one string, as an attack would. */
const calling = (module: string, name: string, argument: string): string =>
  `\u0080\u0002c${module}\n${name}\nX${String.fromCharCode(argument.length)}\0\0\0${argument}\u0085R.`;

describe('a state dict of PyTorch', () => {
  it.each(Object.keys(files))('in a %s has every tensor, bit for bit', async (kind) => {
    const tensors = await readStateDict(bytesFrom(files[kind] ?? ''));
    const found = [...tensors].map(([name, value]) => [
      name,
      { dtype: value.dtype, shape: value.shape, data: Buffer.from(bytesOf(value)).toString('base64') },
    ]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  it('that is a whole module is refused, and says what to save instead', async () => {
    await expect(readStateDict(bytesFrom(module))).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(/'torch\.nn\.modules\.linear\.Linear'.*state_dict\(\)/),
    });
  });

  it.each([
    ['os', 'system'],
    ['builtins', 'eval'],
    ['torch', 'load'],
  ])('that calls %s.%s calls nothing', async (package_, name) => {
    const file = await zip({ 'archive/data.pkl': calling(package_, name, 'touch /tmp/owned') });
    await expect(readStateDict(file)).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringContaining(`'${package_}.${name}'`),
    });
  });

  it('of a TorchScript program, or of no program at all, is refused by what it is', async () => {
    const script = await zip({ 'net/data.pkl': '', 'net/constants.pkl': '' });
    await expect(readStateDict(script)).rejects.toThrow(/TorchScript program/);
    await expect(readStateDict(await zip({ 'letter.txt': 'hello' }))).rejects.toThrow(/no data\.pkl/);
    await expect(readStateDict(new Uint8Array())).rejects.toMatchObject({ code: 'WEIGHTS_MALFORMED' });
    await expect(readStateDict(new TextEncoder().encode('hello'))).rejects.toMatchObject({ code: 'WEIGHTS_MALFORMED' });
  });

  it.each(Object.keys(files))(
    'in a %s that was cut or damaged gives tensors or a known error, never anything else',
    async (kind) => {
      const whole = bytesFrom(files[kind] ?? '');
      await assert(
        asyncProperty(integer({ min: 0, max: whole.length - 1 }), integer({ min: 0, max: 255 }), async (at, byte) => {
          const damaged = byte === 0 ? whole.slice(0, at) : whole.slice();
          if (byte !== 0) damaged[at] = byte;
          const outcome = await readStateDict(damaged).catch((error: unknown) => error);
          if (outcome instanceof Map) return;
          expect(outcome).toMatchObject({ code: expect.stringMatching(/^(WEIGHTS_MALFORMED|MODEL_UNSUPPORTED)$/) });
        }),
        { numRuns: 150 },
      );
    },
  );
});
