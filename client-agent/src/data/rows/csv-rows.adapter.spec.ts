import { jest } from '@jest/globals';

import { dataLimits } from '../dataset.js';
import { csvRows, type CsvFile } from './csv-rows.adapter.js';
import { dataFolder, gather, type DataFolder } from './rows.contract.js';

// A loaded machine takes its time over a million columns.
jest.setTimeout(30_000);

let folder: DataFolder;
beforeEach(async () => {
  folder = await dataFolder();
});
afterEach(() => folder.remove());

const utf16 = (text: string, order: 'le' | 'be'): Buffer => {
  const bytes = Buffer.from(text, 'utf16le');
  return order === 'le' ? bytes : bytes.swap16();
};

const read = async (content: string | Uint8Array, columns?: readonly string[], options: Partial<CsvFile> = {}) => {
  const path = await folder.write('rows.csv', content);
  return gather((skipped) => csvRows({ path, ...options }, skipped), columns);
};

const text = 'city,note\nLund,å\nÅlesund,"two\nlines, ""quoted"""\n';
const rows = [
  ['Lund', 'å'],
  ['Ålesund', 'two\nlines, "quoted"'],
];

describe('a CSV file', () => {
  it.each<[string, Uint8Array, Partial<CsvFile>]>([
    ['UTF-8', Buffer.from(text), {}],
    ['UTF-8 with a mark', Buffer.from(`\uFEFF${text}`), {}],
    ['UTF-16 LE with a mark', utf16(`\uFEFF${text}`, 'le'), {}],
    ['UTF-16 BE with a mark', utf16(`\uFEFF${text}`, 'be'), {}],
    ['UTF-16 LE without a mark', utf16(text, 'le'), {}],
    ['UTF-16 BE without a mark', utf16(text, 'be'), {}],
    ['Latin-1, as data.yaml says', Buffer.from(text, 'latin1'), { encoding: 'latin1' }],
    ['Windows lines', Buffer.from(text.replaceAll('\n', '\r\n').replace('two\r\n', 'two\n')), {}],
  ])('is read in %s', async (_, content, options) => {
    const { cells, skipped } = await read(content, ['city', 'note'], options);
    expect(skipped).toEqual([]);
    expect(cells).toEqual(rows);
  });

  it.each([',', ';', '\t', '|'])('is read with %p between its cells, which the header shows', async (delimiter) => {
    const { cells } = await read(
      `a${delimiter}"b,;"${delimiter}c\n1${delimiter}"2"${delimiter}3,5\n`.replace('3,5', '3.5'),
    );
    expect(cells).toEqual([['1', '2', '3.5']]);
  });

  it('has the delimiter of data.yaml where that says one', async () => {
    expect((await read('a,b:c\n1,2:3\n', ['c'], { delimiter: ':' })).cells).toEqual([['3']]);
  });

  it('of mixed encodings loses only the rows that are not UTF-8, and names them', async () => {
    const mixed = Buffer.concat([
      Buffer.from('city,n\nOslo,1\n'),
      Buffer.from('Malmö,2\n', 'latin1'),
      Buffer.from('Malmö,3\n'),
    ]);
    const { cells, skipped } = await read(mixed, ['city', 'n']);
    expect(cells).toEqual([
      ['Oslo', '1'],
      ['Malmö', '3'],
    ]);
    expect(skipped).toEqual([
      { name: 'row 2', reason: 'column city is not UTF-8; set encoding or fallbackEncoding, e.g. windows-1252' },
    ]);
    const decoded = await read(mixed, ['city'], { fallbackEncoding: 'windows-1252' });
    expect(decoded.cells).toEqual([['Oslo'], ['Malmö'], ['Malmö']]);
  });

  it('loses only the rows with a NUL byte or half a UTF-16 character, and none for a quote in the wrong place', async () => {
    const nul = await read('a,b\n1,x\0y\n2,z\n', ['a', 'b']);
    expect([nul.cells, nul.skipped]).toEqual([[['2', 'z']], [{ name: 'row 1', reason: 'column b holds a NUL byte' }]]);
    const quote = await read('a,b\n1,"x"y\n2,z"\n3,w\n', ['a', 'b']);
    expect(quote.cells).toEqual([
      ['1', '"x"y'],
      ['2', 'z"'],
      ['3', 'w'],
    ]);
    const half = await read(utf16('\uFEFFa,b\n1,\ud800\n2,z\n', 'le'), ['a', 'b']);
    expect([half.cells, half.skipped.length]).toEqual([[['2', 'z']], 1]);
  });

  it('whose last quote is never closed keeps the rows before it', async () => {
    const { cells, skipped } = await read('a,b\n1,x\n2,"open\n3,y\n', ['a', 'b']);
    expect(cells).toEqual([['1', 'x']]);
    expect(skipped).toEqual([{ name: 'line 4', reason: expect.stringContaining('a quote is never closed') }]);
  });

  it('is read up to a row over the limit, which is named', async () => {
    const long = `a,b\n1,x\n2,${'y'.repeat(200_000)}\n3,z\n`;
    const { cells, skipped } = await read(long, ['a', 'b'], { rowBytes: 1000 });
    expect(cells.map(([first]) => first)).toEqual(['1']);
    expect(skipped).toEqual([
      { name: 'line 3', reason: 'the row is over 1000 bytes, the limit; what follows it is not read' },
    ]);
  });

  it('has empty cells where a row is too short, and none where it is too long', async () => {
    expect((await read('a,b\n1\n1,2,3\n', ['a', 'b'])).cells).toEqual([
      ['1', ''],
      ['1', '2'],
    ]);
  });

  it('of a million columns is refused with the limit', async () => {
    await expect(read(`${'c,'.repeat(1_000_000)}c\n`)).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining(`has 1000001 columns, the limit is ${dataLimits.columns}`),
    });
  });

  it('of a header in another encoding says what to set, and an encoding that nobody knows is refused', async () => {
    await expect(read(Buffer.from('å,b\n1,2\n', 'latin1'), ['b'])).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining('set its encoding'),
    });
    await expect(read(text, ['city'], { encoding: 'klingon' })).rejects.toMatchObject({ code: 'DATA_CONFIG_INVALID' });
  });

  it('that is empty or a folder has no rows, or cannot be read', async () => {
    expect((await read('', undefined)).rows).toEqual([]);
    await expect(gather((skipped) => csvRows({ path: folder.path('.') }, skipped))).rejects.toMatchObject({
      code: 'DATA_NOT_FOUND',
    });
  });
});

describe('a site with a table of words and numbers', () => {
  const yaml =
    'format: csv\npath: rows.csv\nlabel: risk\nnumeric: { age: alder, income: income }\ncategorical: [city]\n';

  it('has rows of named columns, in which what is missing stays so', async () => {
    await folder.write('rows.csv', 'alder;income;city;risk\n30;1,5;Lund;low\n40;;Oslo;high\n50;2;;low\n');
    const { kind, examples, skipped } = await folder.dataset(yaml);
    expect(kind).toBe('row');
    const cells = examples.map(({ source }) => (source.kind === 'row' ? source.cells : []));
    expect(cells.sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual([
      [40, null, 'Oslo'],
      [50, 2, null],
    ]);
    expect(skipped).toEqual([{ name: 'row 1', reason: "column income is not a number: '1,5'" }]);
    expect(examples[0]?.source).toMatchObject({ columns: ['age', 'income', 'city'] });
  });

  it('without one good row says the first reasons', async () => {
    await folder.write('rows.csv', 'alder,income,city,risk\nx,1,Lund,low\n1,y,Lund,low\n1,1,Lund,\n');
    await expect(folder.dataset(yaml)).rejects.toMatchObject({
      code: 'DATA_EMPTY',
      message: expect.stringMatching(/3 were skipped, first row 1: .*; row 2: .*; row 3: no label/),
    });
  });
});
