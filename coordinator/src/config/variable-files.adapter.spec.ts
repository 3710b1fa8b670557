import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withVariableFiles } from './variable-files.adapter.js';

const directory = await mkdtemp(join(tmpdir(), 'graft variables-'));
const file = join(directory, 'url');
await writeFile(file, 'postgres://hub/graft\n');

afterAll(async () => rm(directory, { recursive: true, force: true }));

test('a variable may come from a file', () => {
  expect(withVariableFiles({ GRAFT_DB_FILE: file, OTHER_FILE: '/nowhere' })).toMatchObject({
    GRAFT_DB: 'postgres://hub/graft',
    OTHER_FILE: '/nowhere',
  });
});

test('a file that is not there, and a variable that is given twice, are named', () => {
  expect(() => withVariableFiles({ GRAFT_DB_FILE: join(directory, 'no') })).toThrow(/GRAFT_DB_FILE: cannot read .*no/);
  expect(() => withVariableFiles({ GRAFT_DB_FILE: file, GRAFT_DB: 'x' })).toThrow(
    /GRAFT_DB and GRAFT_DB_FILE are both set/,
  );
});
