/** Parquet against Apache Arrow: test/vectors/make_parquet_files.py wrote the files. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { assert, asyncProperty, integer } from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';

import { GraftError } from '@graft/core/error';

import { dataLimits } from '../dataset.js';
import { parquetRows } from './parquet-rows.adapter.js';
import { dataFolder, gather, type DataFolder } from './rows.contract.js';

const vectors = join(import.meta.dirname, '../../../../test/vectors/parquet');
const columns = ['age', 'income', 'visits', 'city', 'member', 'since', 'price', 'risk'];

// Each changed file is written and read; a loaded machine takes its time.
jest.setTimeout(60_000);

let folder: DataFolder;
beforeEach(async () => {
  folder = await dataFolder();
});
afterEach(() => folder.remove());

const read = (path: string, wanted?: readonly string[]) => gather((skipped) => parquetRows(path, skipped), wanted);
const expected = Array.from({ length: 40 }, (_, i) => [
  20 + i,
  i % 9 === 4 ? null : i * 1.5,
  2 ** 40 + i,
  i % 11 === 3 ? null : ['Lund', 'Oslo', 'Ålesund'][i % 3],
  String(i % 2 === 0),
  new Date(Date.UTC(2024, 0, 1 + i)).toISOString(),
  i / 4,
  i % 3 === 0 ? 'high' : 'low',
]);

describe('a Parquet file', () => {
  it.each(['none', 'snappy', 'gzip', 'zstd', 'lz4', 'brotli', 'pages-v2'])(
    'is read as Arrow wrote it: %s',
    async (name) => {
      const { cells, rows, skipped } = await read(join(vectors, `${name}.parquet`), columns);
      expect(cells).toEqual(expected);
      expect(rows.map((row) => row.name)).toEqual(expected.map((_, i) => `row ${i + 1}`));
      expect(skipped).toEqual([]);
    },
  );

  it('has the columns that are asked for, in that order and as often, else all that hold single values', async () => {
    const file = join(vectors, 'snappy.parquet');
    expect((await read(file, ['risk', 'age', 'risk'])).cells[0]).toEqual(['high', 20, 'high']);
    expect((await read(file)).cells[1]).toEqual(expected[1]);
  });

  it('names a column that is not there or holds lists', async () => {
    const file = join(vectors, 'snappy.parquet');
    await expect(read(file, ['height'])).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining("no column 'height'; its columns are age, income"),
    });
    await expect(read(file, ['tags'])).rejects.toMatchObject({
      code: 'DATA_CONFIG_INVALID',
      message: expect.stringContaining('holds lists'),
    });
  });

  it('loses a row with a NUL byte, and names it', async () => {
    const columnData = [{ name: 'a', data: ['x', 'a\0b', 'y'] }];
    const path = await folder.write('a.parquet', new Uint8Array(parquetWriteBuffer({ columnData })));
    const { cells, skipped } = await read(path, ['a']);
    expect(cells).toEqual([['x'], ['y']]);
    expect(skipped).toEqual([{ name: 'row 2', reason: 'column a holds a NUL byte' }]);
  });

  it('makes a site of rows', async () => {
    await folder.write('rows.parquet', await readFile(join(vectors, 'zstd.parquet')));
    const yaml =
      'format: parquet\npath: rows.parquet\nlabel: risk\nnumeric: [age, income, price]\ncategorical: [city, member]\n';
    const { kind, examples, skippedCount } = await folder.dataset(yaml);
    expect([kind, examples.length, skippedCount]).toEqual(['row', 40, 0]);
    expect(examples.find(({ name }) => name === 'row 5')?.source).toMatchObject({
      cells: [24, null, 1, 'Oslo', 'true'],
    });
  });
});

describe('a hostile Parquet file', () => {
  const refusal = async (bytes: Uint8Array): Promise<string> => {
    const path = await folder.write('bad.parquet', bytes);
    const error: unknown = await read(path, ['age']).catch((reason: unknown) => reason);
    if (error instanceof GraftError) return `${error.code} ${error.message}`;
    return error instanceof Error ? `escaped: ${error.message}` : 'read';
  };

  it.each([
    ['nothing', new Uint8Array(), 'too short'],
    ['text', new TextEncoder().encode('age,risk\n1,low\n'), 'does not end with PAR1'],
    [
      'a footer of 4 GB',
      Uint8Array.from([...Array<number>(8).fill(0), 255, 255, 255, 255, 0x50, 0x41, 0x52, 0x31]),
      'its footer claims 4294967295 bytes',
    ],
  ])('that is %s is refused', async (_, bytes, reason) => {
    expect(await refusal(bytes)).toMatch(new RegExp(`^DATA_FILE_UNREADABLE .*${reason}`));
  });

  it('that is cut off is refused at every length', async () => {
    const whole = await readFile(join(vectors, 'snappy.parquet'));
    for (let length = 0; length < whole.length; length += 331) {
      expect(await refusal(whole.subarray(0, length))).toMatch(/^DATA_FILE_UNREADABLE/);
    }
  });

  // Seeded: a change may ask for a run of a thousand million values, which the format allows and the library writes out.
  it('with any byte changed is read or refused, and never anything else', async () => {
    const names = await readdir(vectors);
    const files = await Promise.all(names.map((name) => readFile(join(vectors, name))));
    await assert(
      asyncProperty(
        integer({ min: 0, max: files.length - 1 }),
        integer({ min: 0 }),
        integer({ min: 1, max: 255 }),
        async (which, at, change) => {
          const bytes = Buffer.from(files[which] ?? []);
          const place = at % bytes.length;
          bytes[place] = (bytes[place] ?? 0) ^ change;
          expect(await refusal(bytes)).toMatch(/^(read|DATA_FILE_UNREADABLE|DATA_CONFIG_INVALID)/);
        },
      ),
      { numRuns: 150, seed: 1 },
    );
  });

  /** The only page of the only column of a tiny file, after its header is replaced. */
  const withPage = (header: readonly number[], body: readonly number[], rows = 4): Uint8Array => {
    const columnData = [{ name: 'age', data: Int32Array.from({ length: 4 }, (_, i) => i), type: 'INT32' as const }];
    const whole = new Uint8Array(parquetWriteBuffer({ columnData, codec: 'UNCOMPRESSED', statistics: false }));
    const footerBytes = new DataView(whole.buffer).getUint32(whole.length - 8, true);
    const page = whole.slice(4, whole.length - 8 - footerBytes);
    expect([rows, page.length > header.length + body.length]).toEqual([4, true]);
    // The rest of the chunk is filled, so that the footer stays true.
    const forged = Uint8Array.from([
      ...header,
      ...body,
      ...Array<number>(page.length - header.length - body.length).fill(0),
    ]);
    whole.set(forged, 4);
    return whole;
  };
  /** Thrift compact: page type 0, sizes and number of values as zigzag varints, plain encoding. */
  const zigzag = (value: number): number[] => {
    let rest = BigInt(value) < 0n ? -2n * BigInt(value) - 1n : 2n * BigInt(value);
    const bytes: number[] = [];
    do {
      bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
      rest >>= 7n;
    } while (rest > 0n);
    return bytes;
  };
  const header = (unpacked: number, packed: number, values: number): number[] => [
    0x15,
    0x00,
    0x15,
    ...zigzag(unpacked),
    0x15,
    ...zigzag(packed),
    0x2c,
    0x15,
    ...zigzag(values),
    0x15,
    0x00,
    0x15,
    0x06,
    0x15,
    0x06,
    0x00,
    0x00,
  ];

  it.each([
    ['a negative packed size', header(16, -5, 4), 'claims -5 bytes'],
    ['a packed size past its end', header(16, 1 << 20, 4), 'claims 1048576 bytes'],
    ['a negative unpacked size', header(-1, 4, 4), 'unpack to -1 bytes'],
    ['an unpacked size of a gigabyte', header(1 << 30, 4, 4), `the limit is ${dataLimits.parquetChunkBytes}`],
    ['a thousand million values', header(4, 4, 1e9), 'claims 1000000000 values, there is room for 4'],
    ['fewer than no values', header(4, 4, -1), 'claims -1 values'],
  ])('whose page claims %s is refused before anything is made for it', async (_, forged, reason) => {
    const got = await refusal(withPage(forged, []));
    expect(got).toMatch(/^DATA_FILE_UNREADABLE/);
    expect(got).toContain(reason);
  });
});
