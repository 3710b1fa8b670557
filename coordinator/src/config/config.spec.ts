import { readConfig } from './config.js';

test('a directory is all a coordinator needs; the rest has defaults on loopback', () => {
  expect(readConfig(['--dir', '/d'], {})).toEqual({
    dir: '/d',
    apiHost: '127.0.0.1',
    apiPort: 8080,
    grpcPort: 9090,
    enrolPort: 9091,
    hosts: ['localhost', '127.0.0.1'],
    logLevel: 'info',
    longestAwayMs: 0,
    logFormat: 'json',
    metricsAgents: 200,
    keepaliveMs: 10_000,
    dbConnections: 10,
    dbStatementSeconds: 60,
    blobsCacheMb: 10_000,
    sweepMinutes: 60,
    keepEventsDays: 30,
    keepSettledMinutes: 1440,
    keepUpdateRounds: 2,
    keepCheckpoints: 10,
    blobGraceMinutes: 1_440,
    leaseMs: 10_000,
  });
});

test('flags win over variables, hosts add up, and port 0 is allowed', () => {
  const config = readConfig(['--dir', '/d', '--host', 'hub', '--host', '10.0.0.1', '--grpc-port', '0'], {
    GRAFT_DIR: '/other',
    GRAFT_GRPC_PORT: '1',
    GRAFT_API_PORT: '81',
    GRAFT_HOSTS: 'nobody',
  });
  expect(config).toMatchObject({ dir: '/d', hosts: ['hub', '10.0.0.1'], grpcPort: 0, apiPort: 81 });
});

test('a value may be joined to its flag, and then begin with anything', () => {
  const config = readConfig(['--dir=--d = e', '--host=hub', '--api-port', '81', '--log-level=warn'], {});
  expect(config).toMatchObject({ dir: '--d = e', hosts: ['hub'], apiPort: 81, logLevel: 'warn' });
});

test.each([
  [['--dir', '/d', '--grpc-port', '70000'], '--grpc-port'],
  [['--dir', '/d', '--api-port', 'eighty'], '--api-port'],
  [['--dir'], '--dir needs a value'],
  [['--nonsense', '1'], "no option '--nonsense'"],
  [[], '--dir'],
  [['--dir', '/d', '--db', 'mysql://hub'], '--db: must be postgres://USER:PASSWORD@HOST/DATABASE'],
  [['--dir', '/d', '--blobs-secret-key', 'x'], "no option '--blobs-secret-key'"],
])('a wrong option %j is named', (args, named) => {
  expect(() => readConfig(args, {})).toThrow(
    expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(named) }),
  );
});

test('the keys of a bucket come from variables alone', () => {
  const environment = { GRAFT_BLOBS_ACCESS_KEY: 'key', GRAFT_BLOBS_SECRET_KEY: 'secret', GRAFT_BLOBS: 's3://bucket' };
  const config = readConfig(['--dir', '/d'], environment);
  expect(config).toMatchObject({ blobs: 's3://bucket', blobsAccessKey: 'key', blobsSecretKey: 'secret' });
});
