/** Starting where something is already: two coordinators on one directory, a port that is taken, two agents on one directory. */
import { jest } from '@jest/globals';
import { join } from 'node:path';

import { programs, run, stop, type Finished } from './support/commands.js';
import { coordinatorArguments, coordinatorProgram, openFederation, type Federation } from './support/federation.js';

jest.setTimeout(60_000);

let federation: Federation;

beforeAll(async () => {
  federation = await openFederation();
});

afterAll(async () => federation?.close());

const portOf = (address: string): string => /:(\d+)$/.exec(address)?.[1] ?? '';

/** The federation works: its admin API answers, and it takes a site. */
async function goesOn(): Promise<void> {
  expect(await federation.call('GET', '/agents')).toEqual(expect.any(Array));
  expect(federation.coordinator.process.exitCode).toBeNull();
}

describe('a second coordinator', () => {
  it('on the directory of one that runs is refused, is told whose it is, and harms nothing', async () => {
    const { exit, stderr } = await run(coordinatorProgram, coordinatorArguments(federation.home));
    expect(stderr).toContain(`${federation.home} belongs to the coordinator with pid ${federation.ready.pid}`);
    expect(stderr).toMatch(
      /GRAFT-1002 .*\nFix: Stop the other coordinator, or give this one a directory of its own with --dir/,
    );
    expect(exit).toBe(4);
    await goesOn();
  });

  it('that is started by graft up is refused too', async () => {
    const { exit, stderr } = await run(programs.graft, ['up', '--dir', federation.home]);
    expect(stderr).toMatch(/GRAFT-1002/);
    expect(exit).toBe(4);
    await goesOn();
  });

  it.each([
    ['--api-port', () => portOf(federation.ready.apiUrl)],
    ['--grpc-port', () => portOf(federation.ready.grpcAddress)],
    ['--enrol-port', () => portOf(federation.ready.enrolAddress)],
  ])('on a port that is taken is told the flag %s, and leaves its directory free', async (flag, port) => {
    const { exit, stderr } = await startWith(join(federation.directory, 'other'), flag, port());
    expect(stderr).toMatch(new RegExp(`GRAFT-1001 port ${port()} on .* is taken; choose another with ${flag}\nFix: `));
    expect(exit).toBe(4);
    await goesOn();
  });

  async function startWith(directory: string, flag: string, port: string): Promise<Finished> {
    const args = coordinatorArguments(directory);
    args[args.indexOf(flag) + 1] = port;
    return run(coordinatorProgram, args);
  }
});

describe('a second agent', () => {
  it('on the directory of one that runs is refused, and the first goes on', async () => {
    const first = await federation.addAgent('first');
    await federation.untilConnected(1);
    const { exit, stderr } = await run(programs.agent, ['start', '--dir', join(federation.directory, 'first')]);
    expect(stderr).toMatch(/another graft-agent runs on .*first {2}\[GRAFT-2002/);
    expect(stderr).toMatch(/fix: +Stop the other agent, or give this one a directory of its own with --dir/);
    expect(exit).toBe(4);
    expect(first.process.exitCode).toBeNull();
    await federation.untilConnected(1);
    await stop(first);
  });
});
