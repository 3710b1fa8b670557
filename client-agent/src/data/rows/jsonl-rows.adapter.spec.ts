import { open } from 'node:fs/promises';

import { dataLimits } from '../dataset.js';
import { jsonlRows, type JsonlFile } from './jsonl-rows.adapter.js';
import { dataFolder, gather, type DataFolder } from './rows.contract.js';

let folder: DataFolder;
beforeEach(async () => {
  folder = await dataFolder();
});
afterEach(() => folder.remove());

const read = async (content: string | Uint8Array, options: Partial<JsonlFile> = {}) => {
  const path = await folder.write('rows.jsonl', content);
  return gather((skipped) => jsonlRows({ path, ...options }, skipped), ['text', 'n']);
};

describe('a file of JSON lines', () => {
  it('has numbers, texts and words by name; what is absent is missing', async () => {
    const { cells, skipped } = await read(
      '\uFEFF{"text":"å","n":1.5}\r\n\n{"n":true,"other":[1]}\n{"text":null,"n":""}',
    );
    expect(cells).toEqual([
      ['å', 1.5],
      [null, 'true'],
      [null, ''],
    ]);
    expect(skipped).toEqual([]);
  });

  it.each([
    ['no JSON', '{"text":', 'not JSON'],
    ['a list', '[1]', 'not a JSON object'],
    ['a word', '"x"', 'not a JSON object'],
    ['an object in a field', '{"text":{"a":1}}', 'field text is an object'],
    ['a list in a field', '{"n":[1]}', 'field n is a list'],
    ['a NUL character', '{"text":"a\\u0000b"}', 'field text holds a NUL byte'],
    ['a NUL byte', '{"text":"a\0b"}', 'not JSON'],
    ['JSON a thousand thousand deep', '['.repeat(1_000_000), 'not JSON'],
  ])('loses a line that is %s, and names it', async (_, line, reason) => {
    const { cells, skipped } = await read(`${line}\n{"text":"kept"}\n`);
    expect(cells).toEqual([['kept', null]]);
    expect(skipped).toEqual([{ name: 'line 1', reason: expect.stringContaining(reason) }]);
  });

  it('does not take the properties of every object for fields', async () => {
    const path = await folder.write('rows.jsonl', '{"a":1}\n{"__proto__":"x"}\n');
    const { cells } = await gather((skipped) => jsonlRows({ path }, skipped), ['constructor', '__proto__']);
    expect(cells).toEqual([
      [null, null],
      [null, 'x'],
    ]);
  });

  it('loses a line that is not UTF-8, unless data.yaml says what else it is', async () => {
    const mixed = Buffer.concat([Buffer.from('{"text":"\xe5"}\n', 'latin1'), Buffer.from('{"text":"å"}\n')]);
    const { cells, skipped } = await read(mixed);
    expect([cells, skipped[0]?.name]).toEqual([[['å', null]], 'line 1']);
    expect((await read(mixed, { fallbackEncoding: 'latin1' })).cells).toEqual([
      ['å', null],
      ['å', null],
    ]);
    const wide = Buffer.from('\uFEFF{"text":"å"}\n', 'utf16le');
    expect((await read(wide)).cells).toEqual([['å', null]]);
  });

  it('loses a line of 100 MB without holding it, and names the limit', async () => {
    const path = folder.path('rows.jsonl');
    const file = await open(path, 'w');
    const block = Buffer.alloc(1 << 20, 'x');
    await file.write('{"text":"');
    for (let i = 0; i < 100; i++) await file.write(block);
    await file.write('"}\n{"text":"kept"}\n');
    await file.close();
    const before = process.memoryUsage().arrayBuffers;
    const { cells, skipped } = await gather((list) => jsonlRows({ path }, list), ['text']);
    expect(cells).toEqual([['kept']]);
    expect(skipped).toEqual([
      { name: 'line 1', reason: `the line has ${(100 << 20) + 11} bytes, the limit is ${dataLimits.rowBytes}` },
    ]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 << 20);
  });
});

describe('a site with texts', () => {
  it('has a text an example, or a pair of them, with the same hash wherever they stand', async () => {
    await folder.write(
      'rows.jsonl',
      '{"a":"one","b":"two","y":1}\n{"a":"three","b":null,"y":0}\n{"a":"","b":"x","y":0}\n',
    );
    const single = await folder.dataset('format: jsonl\npath: rows.jsonl\nlabel: y\ntext: a\n');
    expect(single.kind).toBe('text');
    expect(single.examples.map(({ source, label }) => [source, label])).toEqual(
      expect.arrayContaining([
        [{ kind: 'text', text: 'one' }, '1'],
        [{ kind: 'text', text: 'three' }, '0'],
      ]),
    );
    expect(single.skipped).toEqual([{ name: 'line 3', reason: 'no text' }]);
    const pairs = await folder.dataset('format: jsonl\npath: rows.jsonl\nlabel: y\ntext: a\npair: b\n');
    expect(pairs.examples.map(({ source }) => source)).toEqual([{ kind: 'text', text: 'one', pair: 'two' }]);
    expect(pairs.skipped.map(({ reason }) => reason)).toEqual(['no second text', 'no text']);
    await folder.write('rows.csv', 'a,y\none,1\n');
    const csv = await folder.dataset('format: csv\npath: rows.csv\nlabel: y\ntext: a\n');
    expect(single.examples.map(({ hash }) => hash)).toContain(csv.examples[0]?.hash);
  });
});
