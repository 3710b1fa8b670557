import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { FakeCoordinator } from '../daemon/fake-coordinator.contract.js';
import { runCommandLine } from './program.driver.js';

// Processes, TLS and the disk of a loaded machine take their time.
jest.setTimeout(30_000);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft command '));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(...args: readonly string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const terminal = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };
  const exit = await runCommandLine([...args, '--dir', folder], terminal);
  return { exit, out, err };
}

const json = (lines: readonly string[]): unknown => JSON.parse(lines.join('\n'));

describe('a command line that cannot be understood', () => {
  it.each([
    [['enrol'], 'unknown command'],
    [['enroll', '--server', 'hub:1'], '--token'],
    [['outbox', '--last', 'many'], 'whole number'],
    [['start', '--timeout', '-1'], 'seconds'],
    [['predict'], 'file'],
    [['status', '--colour'], 'unknown option'],
  ])('%j ends with 4 and says what is wrong', async (args, word) => {
    const { exit, out, err } = await run(...args);
    expect(exit).toBe(4);
    expect(out).toEqual([]);
    expect(err.join('\n')).toContain(word);
    expect(err.join('\n')).toContain('fix:');
  });

  it('has one envelope on stdout with --json', async () => {
    const { exit, out, err } = await run('enroll', '--json');
    expect(exit).toBe(4);
    expect(err).toEqual([]);
    expect(json(out)).toMatchObject({
      ok: false,
      code: 'INVALID_ARGUMENTS',
      number: expect.stringMatching(/^GRAFT-2/),
    });
  });

  it('is no error when it asks for help or the version', async () => {
    const help = await run('enroll', '--help');
    expect(help.exit).toBe(0);
    expect(help.out.join('\n')).toContain('Example:');
    expect((await run('--version')).exit).toBe(0);
  });
});

describe('in a directory that is not enrolled', () => {
  it.each([['status'], ['outbox'], ['start'], ['predict', 'a.png']])('%s says how to enrol', async (...args) => {
    const { exit, out } = await run(...args, '--json');
    expect(exit).toBe(4);
    expect(json(out)).toMatchObject({ code: 'AGENT_NOT_ENROLLED', fix: expect.stringContaining('graft-agent enroll') });
  });

  it('check fails for its configuration, and skips what needs one', async () => {
    const { exit, out } = await run('check');
    expect(exit).toBe(4);
    expect(out[0]).toMatch(/^ FAIL {5}config/);
    expect(out.filter((line) => line.startsWith(' SKIPPED'))).toHaveLength(7);
    expect(json((await run('check', '--json')).out)).toMatchObject({ ok: false, code: 'PREFLIGHT_FAILED' });
  });
});

describe('enrolling', () => {
  let coordinator: FakeCoordinator;

  beforeAll(async () => {
    coordinator = await FakeCoordinator.start();
  });
  afterAll(() => coordinator.kill());
  beforeEach(() => void coordinator.tokens.add('token'));

  const enrol = (...more: readonly string[]) =>
    run(
      'enroll',
      '--server',
      coordinator.enrolmentAddress,
      '--token',
      'token',
      '--fingerprint',
      coordinator.fingerprint,
      ...more,
    );

  it('ends with the next commands, and is not done twice by accident', async () => {
    const { exit, out } = await enrol();
    expect(exit).toBe(0);
    expect(out.join('\n')).toContain('graft-agent check --dir');
    const again = await enrol('--json');
    expect(again.exit).toBe(4);
    expect(json(again.out)).toMatchObject({ code: 'AGENT_ALREADY_ENROLLED' });
    coordinator.tokens.add('token');
    expect((await enrol('--replace')).exit).toBe(0);
  });

  it('takes a folder of images as data', async () => {
    const images = join(folder, 'my images');
    await mkdir(join(images, 'cat'), { recursive: true });
    await writeFile(join(images, 'cat', 'a.png'), 'x');
    expect((await enrol('--data', images)).exit).toBe(0);
    const { out } = await run('status', '--json');
    expect(json(out)).toMatchObject({ ok: true, data: { running: false, agent: { name: 'lund' }, release: null } });
  });

  it.each([
    ['nothing there', 'missing.yaml', 'DATA_NOT_FOUND'],
    ['a CSV file without a data.yaml', 'rows.csv', 'INVALID_ARGUMENTS'],
    ['a data.yaml that is wrong', 'data.yaml', 'DATA_CONFIG_INVALID'],
  ])('refuses data that are %s before the token is spent', async (_, name, code) => {
    await writeFile(join(folder, 'rows.csv'), 'a,b\n');
    await writeFile(join(folder, 'data.yaml'), 'format: tape\n');
    const { exit, out } = await enrol('--data', join(folder, name), '--json');
    expect(exit).toBe(4);
    expect(json(out)).toMatchObject({ code });
    expect(coordinator.tokens.has('token')).toBe(true);
  });

  it.each([
    [['--server', 'https://hub'], 'INVALID_ARGUMENTS', 4],
    [['--server', '127.0.0.1:1'], 'UNAVAILABLE', 2],
    [['--fingerprint', 'sha256:12'], 'INVALID_REQUEST', 4],
    [['--fingerprint', `sha256:${'a'.repeat(64)}`], 'CA_MISMATCH', 2],
    [['--token', 'stolen'], 'TOKEN_INVALID', 2],
  ])('with %j is refused', async (change, code, expected) => {
    const { exit, out } = await enrol(...change, '--json');
    expect(json(out)).toMatchObject({ ok: false, code });
    expect(exit).toBe(expected);
  });

  it('leaves a site that lists what it has sent, and that has no release to predict with', async () => {
    await enrol();
    const outbox = json((await run('outbox', '--json')).out);
    expect(outbox).toMatchObject({ ok: true, data: { sent: [{ what: 'enrolment' }], waiting: [] } });
    const predict = await run('predict', 'a.png', '--json');
    expect(predict.exit).toBe(1);
    expect(json(predict.out)).toMatchObject({ code: 'NO_RELEASE' });
  });
});
