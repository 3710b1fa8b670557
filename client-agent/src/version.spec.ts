import { readFile } from 'node:fs/promises';

import { agentVersion } from './version.js';

describe('the version', () => {
  it('is that of the package', async () => {
    const source: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
    expect(source).toMatchObject({ version: agentVersion });
  });
});
