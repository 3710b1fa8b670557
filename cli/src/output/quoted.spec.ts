import { quoted } from './quoted.js';

describe('a path in a command that is shown', () => {
  it.each([
    ['/srv/hub', '/srv/hub'],
    ['/tmp/my hub', "'/tmp/my hub'"],
    ["it's", String.raw`'it'\''s'`],
    ['$(rm -rf ~)', "'$(rm -rf ~)'"],
    ['', "''"],
  ])('%j is written as %s', (path, shown) => {
    expect(quoted(path)).toBe(shown);
  });
});
