import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { classNumbers } from './labels.js';
import { readDataset } from './dataset.adapter.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft data '));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = async (path: string, content: string | Uint8Array): Promise<void> => {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), content);
};
const read = () => readDataset(join(folder, 'data.yaml'), join(folder, 'index.json'));

describe('an image folder', () => {
  beforeEach(() => write('data.yaml', 'format: image-folder\npath: images\nlabels: { zero: "0" }\n'));

  it('gives one example a file, labelled by its subfolder', async () => {
    await write('images/zero/a.png', 'first');
    await write('images/1/deep/b.PNG', 'second');
    const { kind, examples, skippedCount } = await read();
    expect(kind).toBe('image');
    expect(skippedCount).toBe(0);
    expect(new Map(examples.map(({ name, label }) => [name, label]))).toEqual(
      new Map([
        ['zero/a.png', '0'],
        ['1/deep/b.PNG', '1'],
      ]),
    );
  });

  it('skips, counts and names what is no image, empty or unreadable', async () => {
    await write('images/1/a.png', 'image');
    await write('images/1/notes.txt', 'hello');
    await write('images/1/empty.png', '');
    const { examples, skipped, skippedCount } = await read();
    expect(examples).toHaveLength(1);
    expect(skippedCount).toBe(2);
    expect(skipped).toContainEqual({ name: '1/notes.txt', reason: 'not an image file' });
    expect(skipped).toContainEqual({ name: '1/empty.png', reason: 'the file is empty' });
  });

  it('takes an image whose name does not say so, by its first bytes', async () => {
    await write('images/1/photo', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0));
    await write('images/1/photo.bak', 'RIFF1234WEBPVP8 ');
    await write('images/1/photo.txt', 'RIFF1234WAVEfmt ');
    const { examples, skipped } = await read();
    expect(examples.map(({ name }) => name).sort()).toEqual(['1/photo', '1/photo.bak']);
    expect(skipped).toEqual([{ name: '1/photo.txt', reason: 'not an image file' }]);
  });

  it('takes no link out of the folder, no class that is a link, and no loose file', async () => {
    await write('outside/secret.png', 'secret');
    await write('images/1/a.png', 'image');
    await write('images/loose.png', 'image');
    await symlink('../../outside/secret.png', join(folder, 'images/1/link.png'));
    await symlink('a.png', join(folder, 'images/1/inside.png'));
    await symlink('nowhere.png', join(folder, 'images/1/broken.png'));
    await symlink('../outside', join(folder, 'images/2'));
    await symlink('../../outside', join(folder, 'images/1/folder.png'));
    const { examples, skipped, skippedCount } = await read();
    expect(examples.map(({ name }) => name).sort()).toEqual(['1/a.png', '1/inside.png']);
    expect(skippedCount).toBe(5);
    expect(new Map(skipped.map(({ name, reason }) => [name, reason.replace(/^(Error: )?ENOENT.*/, 'ENOENT')]))).toEqual(
      new Map([
        ['2', 'a link, not a folder of a class'],
        ['loose.png', 'not in the folder of a class'],
        ['1/link.png', expect.stringContaining('outside')],
        ['1/folder.png', expect.stringContaining('outside')],
        ['1/broken.png', 'ENOENT'],
      ]),
    );
  });

  it('gives the same hash wherever a file lies, and another one when its bytes change', async () => {
    await write('images/1/a.png', 'image');
    const before = (await read()).examples[0]?.hash;
    await write('images/1/moved/b.png', 'image');
    expect((await read()).examples.map(({ hash }) => hash)).toEqual([before, before]);
    await write('images/1/a.png', 'other');
    await utimes(join(folder, 'images/1/a.png'), 1, 1);
    expect((await read()).examples.filter(({ hash }) => hash === before)).toHaveLength(1);
  });

  it('refuses a folder that is not there, and one without classes', async () => {
    await expect(read()).rejects.toMatchObject({ code: 'DATA_NOT_FOUND' });
    await mkdir(join(folder, 'images'));
    await expect(read()).rejects.toMatchObject({
      code: 'DATA_NOT_FOUND',
      message: expect.stringContaining('subfolder'),
    });
  });

  it('says what was skipped when nothing is left', async () => {
    await write('images/1/notes.txt', 'hello');
    await expect(read()).rejects.toMatchObject({ code: 'DATA_EMPTY', message: expect.stringContaining('notes.txt') });
  });
});

describe('a CSV file', () => {
  const rows = '\uFEFFage, income ,risk\n30,1e3,low\n41,2000,high\n,5,low\n7,abc,high\n8,9,\n';

  it('gives one example a row of numbers', async () => {
    await write('data.yaml', 'format: csv\npath: rows.csv\nlabel: risk\ncolumns: [age, income]\n');
    await write('rows.csv', rows);
    const { kind, examples, skipped } = await read();
    expect(kind).toBe('features');
    const values = examples.map(({ source }) => (source.kind === 'features' ? [...source.values] : []));
    expect(values.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual([
      [30, 1000],
      [41, 2000],
    ]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      "column age is not a number: ''",
      "column income is not a number: 'abc'",
      'no label',
    ]);
  });

  it('gives one example a row with the path of an image, relative to the file', async () => {
    await write('data.yaml', 'format: csv\npath: sub/rows.csv\nlabel: kind\nimage: file\n');
    await write('sub/rows.csv', 'file,kind\na.png,cat\nmissing.png,dog\n');
    await write('sub/a.png', 'image');
    const { examples, skipped } = await read();
    expect(examples.map(({ name, label }) => [name, label])).toEqual([['a.png', 'cat']]);
    expect(skipped.map(({ name }) => name)).toEqual(['missing.png']);
  });

  it('takes no image from outside its folder, unless data.yaml names another', async () => {
    await write('data.yaml', 'format: csv\npath: sub/rows.csv\nlabel: kind\nimage: file\n');
    await write('sub/rows.csv', 'file,kind\n../a.png,cat\n/etc/hostname,dog\n');
    await write('a.png', 'image');
    await expect(read()).rejects.toMatchObject({
      code: 'DATA_EMPTY',
      message: expect.stringContaining('it lies outside'),
    });
    await write('data.yaml', 'format: csv\npath: sub/rows.csv\nlabel: kind\nimage: file\nimageFolder: ..\n');
    await write('sub/rows.csv', 'file,kind\na.png,cat\n');
    expect((await read()).examples.map(({ name }) => name)).toEqual(['a.png']);
  });

  it('names a column that is not there', async () => {
    await write('data.yaml', 'format: csv\npath: rows.csv\nlabel: colour\ncolumns: [age]\n');
    await write('rows.csv', rows);
    await expect(read()).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining("no column 'colour'; its columns are age, income, risk"),
    });
  });
});

describe('data.yaml', () => {
  it.each([
    ['format: excel\npath: x\n', 'format'],
    ['format: parquet\npath: x\n', 'label'],
    ['format: csv\npath: x\nlabel: y\ntext: t\ncolumns: [a]\n', "name either 'image'"],
    ['format: csv\npath: x\nlabel: y\ncolumns: [a]\npair: b\n', "name either 'image'"],
    ['format: csv\npath: x\nlabel: y\ncolumns: [a]\ndelimiter: ";;"\n', 'delimiter'],
    ['format: csv\npath: x\nlabel: y\n', "name either 'image'"],
    ['format: image-folder\npath: x\ncolour: red\n', 'colour'],
    ['just text', 'data.yaml'],
  ])('%j is refused with the field that is wrong', async (text, part) => {
    await write('data.yaml', text);
    await expect(read()).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining(part),
    });
  });
});

describe('labels', () => {
  it('become the numbers of the task', async () => {
    await write('data.yaml', 'format: image-folder\npath: images\n');
    await write('images/b/1.png', 'x');
    const { examples } = await read();
    expect([...classNumbers(examples, ['a', 'b'])]).toEqual([1]);
  });

  it('that the task does not have are named', async () => {
    await write('data.yaml', 'format: image-folder\npath: images\n');
    await write('images/owl/1.png', 'x');
    const { examples } = await read();
    expect(() => classNumbers(examples, ['cat', 'dog'])).toThrow(
      expect.objectContaining({ code: 'LABEL_UNKNOWN', message: expect.stringContaining("'owl' of owl/1.png") }),
    );
  });
});
