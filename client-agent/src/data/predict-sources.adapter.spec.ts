import { tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { preprocessingSchema } from '@graft/models/pipeline/preprocessing';
import { parquetWriteBuffer } from 'hyparquet-writer';

import { predictSources } from './predict-sources.adapter.js';
import { dataFolder, type DataFolder } from './rows/rows.contract.js';

let folder: DataFolder;
beforeEach(async () => {
  folder = await dataFolder();
});
afterEach(() => folder.remove());

const sources = (names: readonly string[], preprocessing: object) =>
  predictSources(
    names.map((name) => folder.path(name)),
    preprocessingSchema.parse(preprocessing),
    folder.path('data.yaml'),
  );

const features = { kind: 'features', length: 2 };
const text = { kind: 'text', tokenizer: { hash: 'a'.repeat(64), sizeBytes: 1 }, maxLength: 8 };
const tabular = {
  kind: 'tabular',
  columns: [
    { name: 'age', kind: 'numeric' },
    { name: 'city', kind: 'category', vocabulary: ['Lund'] },
  ],
};

describe('what is to be answered', () => {
  it('are images as they are', async () => {
    const image = { kind: 'image', channels: 1, height: 2, width: 2, invert: false, scale: 1, offset: 0 };
    expect(await sources(['a.png'], image)).toEqual([{ kind: 'image', path: folder.path('a.png') }]);
  });

  it('are all columns of a file where the site has no data of its own, else those of data.yaml', async () => {
    await folder.write('q.csv', 'b;a\n1;2\n3;4\n');
    const values = async () =>
      (await sources(['q.csv'], features)).map((source) => (source.kind === 'features' ? [...source.values] : []));
    expect(await values()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await folder.write('data.yaml', 'format: csv\npath: rows.csv\nlabel: y\ncolumns: [a, b]\n');
    expect(await values()).toEqual([
      [2, 1],
      [4, 3],
    ]);
  });

  it("are the task's columns under the site's names, from any kind of table", async () => {
    await folder.write(
      'data.yaml',
      'format: parquet\npath: rows.parquet\nlabel: y\nnumeric: { age: alder }\ncategorical: [city]\n',
    );
    await folder.write('q.csv', 'city,alder\nLund,30\n');
    await folder.write('q.jsonl', '{"alder":30,"city":"Lund"}\n{"city":"Oslo"}\n');
    const columnData = [
      { name: 'alder', data: [30, 31] },
      { name: 'city', data: ['Lund', 'Oslo'] },
    ];
    await folder.write('q.parquet', new Uint8Array(parquetWriteBuffer({ columnData })));
    const all = await sources(['q.csv', 'q.jsonl', 'q.parquet'], tabular);
    expect(all.map((source) => (source.kind === 'row' ? [source.columns, source.cells] : []))).toEqual([
      [
        ['age', 'city'],
        ['30', 'Lund'],
      ],
      [
        ['age', 'city'],
        [30, 'Lund'],
      ],
      [
        ['age', 'city'],
        [null, 'Oslo'],
      ],
      [
        ['age', 'city'],
        [30, 'Lund'],
      ],
      [
        ['age', 'city'],
        [31, 'Oslo'],
      ],
    ]);
    expect(all.map((source) => ('name' in source ? source.name : ''))[2]).toBe(`${folder.path('q.jsonl')} line 2`);
  });

  it('are texts: a whole file, or a column', async () => {
    await folder.write('q.txt', 'a fine day');
    await folder.write('q.jsonl', '{"text":"a poor day"}\n');
    expect(await sources(['q.txt', 'q.jsonl'], text)).toEqual([
      { kind: 'text', name: folder.path('q.txt'), text: 'a fine day' },
      { kind: 'text', name: `${folder.path('q.jsonl')} line 1`, text: 'a poor day' },
    ]);
    await folder.write('data.yaml', 'format: jsonl\npath: rows.jsonl\nlabel: y\ntext: a\npair: b\n');
    await folder.write('pairs.jsonl', '{"a":"one","b":"two"}\n');
    expect(await sources(['pairs.jsonl'], text)).toMatchObject([{ text: 'one', pair: 'two' }]);
  });

  it('are the examples of a tensor, without labels', async () => {
    await folder.write(
      'q.safetensors',
      encodeSafetensors(new Map([['x', tensor('float32', [2, 3, 1], new Float32Array(6))]])),
    );
    const found = await sources(['q.safetensors'], { kind: 'tensor', shape: [3, 1] });
    expect(found).toMatchObject([
      { kind: 'tensor', shape: [3, 1] },
      { kind: 'tensor', shape: [3, 1] },
    ]);
  });

  it.each([
    ['a file that is not there', 'nowhere.csv', features, 'DATA_NOT_FOUND'],
    ['a text that is not there', 'nowhere.txt', text, 'DATA_NOT_FOUND'],
    ['a file that is no safetensors', 'bad.txt', { kind: 'tensor', shape: [1] }, 'DATA_FILE_UNREADABLE'],
    ['a row that is no JSON', 'bad.jsonl', tabular, 'RECORD_UNUSABLE'],
    ['a file that is no Parquet', 'bad.parquet', tabular, 'DATA_FILE_UNREADABLE'],
    ['a column that is not there', 'bad.csv', tabular, 'DATA_CONFIG_INVALID'],
  ])('is refused for %s', async (_, name, preprocessing, code) => {
    for (const bad of ['bad.txt', 'bad.jsonl', 'bad.parquet', 'bad.csv']) await folder.write(bad, 'hello, world\n{');
    await expect(sources([name], preprocessing)).rejects.toMatchObject({ code });
  });
});
