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

test.each([
  [['--dir', '/d', '--grpc-port', '70000'], '--grpc-port'],
  [['--dir', '/d', '--api-port', 'eighty'], '--api-port'],
  [['--dir'], '--dir needs a value'],
  [['--nonsense', '1'], "no option '--nonsense'"],
  [[], '--dir'],
])('a wrong option %j is named', (args, named) => {
  expect(() => readConfig(args, {})).toThrow(
    expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(named) }),
  );
});
