/** The map of ARCHITECTURE.md as rules: who may import whom, and which files may touch the outside. */
const rooms = {
  core: [],
  protos: ['core'],
  strategies: ['core'],
  models: ['core'],
  coordinator: ['core', 'protos', 'strategies', 'models'],
  'client-agent': ['core', 'protos', 'strategies', 'models'],
  cli: ['core', 'protos', 'strategies', 'models'],
};

const shell = '(\\.(module|controller|guard|filter|grpc|driver|adapter|repository|main|spec|contract)|/main)\\.ts$';
const native = '(@grpc/|onnxruntime-node|@tensorflow/|sharp|@electric-sql/|/pg/|@nestjs/|prom-client|pino|@peculiar/)';

module.exports = {
  forbidden: [
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `${room}-imports`,
      comment: `${room} may import ${allowed.length > 0 ? allowed.join(', ') : 'no other room'}`,
      severity: 'error',
      from: { path: `^${room}/src` },
      to: {
        path: `^(${Object.keys(rooms)
          .filter((other) => other !== room && !allowed.includes(other))
          .join('|')})/`,
      },
    })),
    {
      name: 'core-is-alone',
      comment: 'core imports nothing, not even node:*',
      severity: 'error',
      from: { path: '^core/src', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: '^core/src' },
    },
    {
      name: 'pure-files-touch-nothing',
      comment: 'A file without a shell suffix imports no node:* module',
      severity: 'error',
      from: { path: '^[a-z-]+/src', pathNot: shell },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-files-load-nothing-native',
      comment: 'A file without a shell suffix imports no network, database, framework or native package',
      severity: 'error',
      from: { path: '^[a-z-]+/src', pathNot: shell },
      to: { path: `node_modules/${native}`, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unknown', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules|/dist/' },
    exclude: { path: '/(dist|generated)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.cruiser.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
    skipAnalysisNotInRules: true,
  },
};
