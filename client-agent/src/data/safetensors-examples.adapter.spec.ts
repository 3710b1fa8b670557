import { mkdir, readFile, truncate } from 'node:fs/promises';

import { tensor, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';

import { dataFolder, type DataFolder } from './rows/rows.contract.js';
import { readTensor } from './safetensors-examples.adapter.js';

let folder: DataFolder;
beforeEach(async () => {
  folder = await dataFolder();
});
afterEach(() => folder.remove());

const x = (count: number): Tensor =>
  tensor(
    'float32',
    [count, 2, 3],
    Float32Array.from({ length: count * 6 }, (_, i) => i),
  );
const file = (tensors: Record<string, Tensor>): Uint8Array => encodeSafetensors(new Map(Object.entries(tensors)));
const yaml = 'format: safetensors\npath: a.safetensors\nlabels: { "0": walking, "1": running }\n';

describe('a safetensors file', () => {
  it('has an example a row, read when it is needed', async () => {
    await folder.write('a.safetensors', file({ x: x(3), y: tensor('int64', [3], BigInt64Array.of(0n, 1n, 0n)) }));
    const { kind, examples, skippedCount } = await folder.dataset(yaml);
    expect([kind, examples.length, skippedCount]).toEqual(['tensor', 3, 0]);
    for (const { name, label, source } of examples) {
      const index = Number(/\[(\d+)\]/.exec(name)?.[1]);
      expect(label).toBe(index === 1 ? 'running' : 'walking');
      if (source.kind !== 'tensor') throw new Error('not a tensor');
      expect(await readTensor(source, name)).toEqual(
        tensor(
          'float32',
          [2, 3],
          Float32Array.from({ length: 6 }, (_, i) => index * 6 + i),
        ),
      );
    }
  });

  it('may be one of many in a folder, under other names, and in half precision', async () => {
    await mkdir(folder.path('series'));
    const half = tensor('float16', [2, 1], Uint16Array.of(0x3c00, 0xc000));
    await folder.write('series/b.safetensors', file({ data: half, target: tensor('uint8', [2], Uint8Array.of(7, 9)) }));
    await folder.write('series/c.safetensors', file({ data: half, target: tensor('int32', [2], Int32Array.of(7, 9)) }));
    await folder.write('series/notes.txt', 'hello');
    const { examples } = await folder.dataset('format: safetensors\npath: series\nx: data\ny: target\n');
    expect(examples.map(({ label }) => label).sort()).toEqual(['7', '7', '9', '9']);
    const [first] = examples.filter(({ label }) => label === '9');
    if (first?.source.kind !== 'tensor') throw new Error('not a tensor');
    expect(await readTensor(first.source, first.name)).toEqual(tensor('float32', [1], Float32Array.of(-2)));
    // The same numbers in two files are the same example.
    expect(new Set(examples.map(({ hash }) => hash)).size).toBe(2);
  });

  it.each<[string, Record<string, Tensor>, string]>([
    ['no such tensor', { z: x(1) }, "no tensor 'x'; its tensors are z"],
    ['one number an example', { x: tensor('float32', [3], new Float32Array(3)) }, 'expected [N, ...]'],
    ['examples of no numbers', { x: tensor('float32', [3, 0], new Float32Array(0)) }, 'has 0 bytes'],
    ['fewer labels', { x: x(2), y: tensor('int32', [1], new Int32Array(1)) }, '2 examples and'],
    ['labels that are no whole numbers', { x: x(1), y: tensor('float32', [1], Float32Array.of(0.5)) }, '0.5 at 0'],
    ['a table of labels', { x: x(1), y: tensor('int32', [1, 2], new Int32Array(2)) }, 'expected [N]'],
  ])('with %s is skipped and named', async (_, tensors, reason) => {
    await folder.write('a.safetensors', file(tensors));
    await expect(folder.dataset(yaml)).rejects.toMatchObject({
      code: 'DATA_EMPTY',
      message: expect.stringContaining(reason),
    });
  });

  it.each([
    ['is empty', new Uint8Array()],
    ['is text', new TextEncoder().encode('hello, this is no tensor')],
    ['claims a header of many gigabytes', Uint8Array.of(255, 255, 255, 255, 255, 0, 0, 0, 1)],
    ['claims bytes that are not there', file({ x: x(2) }).slice(0, -8)],
  ])('that %s is skipped and named', async (_, bytes) => {
    await folder.write('a.safetensors', bytes);
    await expect(folder.dataset(yaml)).rejects.toMatchObject({ code: 'DATA_EMPTY' });
  });

  it('that was cut off since is an error of the example', async () => {
    const path = await folder.write('a.safetensors', file({ x: x(3), y: tensor('uint8', [3], new Uint8Array(3)) }));
    const { examples } = await folder.dataset(yaml);
    const last = examples.find(({ name }) => name.includes('[2]'));
    await truncate(path, (await readFile(path)).length - 12);
    if (last?.source.kind !== 'tensor') throw new Error('not a tensor');
    await expect(readTensor(last.source, last.name)).rejects.toMatchObject({
      code: 'DATA_FILE_UNREADABLE',
      message: expect.stringContaining('a.safetensors x[2]'),
    });
  });
});
