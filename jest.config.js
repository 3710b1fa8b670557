/** Specs run from source: `@graft/x/y` is x/src/y.ts. End-to-end tests start the built programs. */
const shared = {
  testEnvironment: '<rootDir>/test/support/node-environment.js',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2022',
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^@graft/([a-z-]+)/(.*)$': '<rootDir>/$1/src/$2.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
};

export default {
  maxWorkers: 2,
  // Nothing here is about time: a test may wait for a busy machine.
  testTimeout: 30_000,
  projects: [
    {
      ...shared,
      displayName: 'spec',
      testMatch: ['<rootDir>/*/src/**/*.spec.ts', '<rootDir>/test/simulation/*.spec.ts'],
    },
    { ...shared, displayName: 'end-to-end', testMatch: ['<rootDir>/test/**/*.e2e-spec.ts'] },
  ],
};
