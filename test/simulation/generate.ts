/**
 * An input from a seed. Each seed allows only some kinds of operations (swarm testing: Groce et al., ISSTA 2012), so that
 * what one kind hides another does not always cover up; the rest is time that passes.
 */
import { random, seedFrom, type Random } from '../../core/src/random.js';
import type { Config, Input, Op, OpKind, Poison } from './input.js';

export interface GenerateOptions {
  readonly ops: number;
  /** Every so many seeds run on the real repository; 0 for none. */
  readonly databaseEvery: number;
}

export function generate(seed: number, { ops, databaseEvery }: GenerateOptions): Input {
  const chance = random(seedFrom('simulation', seed));
  const store = databaseEvery > 0 && seed % databaseEvery === 0 ? 'database' : 'memory';
  const config = configFrom(chance, store);
  const kinds = (Object.keys(makers) as OpKind[]).filter((kind) => kind !== 'advance' && chance.below(3) === 0);
  const next = (): Op => {
    const kind = kinds[chance.below(kinds.length * 2)];
    return kind === undefined ? makers.advance(chance, config) : makers[kind](chance, config);
  };
  return { seed, config, ops: Array.from({ length: ops }, next) };
}

function configFrom(chance: Random, store: Config['store']): Config {
  const agents = 2 + chance.below(5);
  const min = 1 + chance.below(agents);
  const goal = min + chance.below(agents - min + 1);
  const max = goal + chance.below(agents - goal + 1);
  return {
    kind: chance.below(2) === 0 ? 'fit' : 'probe',
    store,
    agents,
    rounds: 1 + chance.below(4),
    cohort: { min, goal, max },
    windowMs: pick(chance, [5_000, 60_000, 600_000]),
    settings: {
      gatherMs: pick(chance, [0, 1_000, 5_000]),
      lostAfterMs: pick(chance, [1_000, 15_000]),
      attempts: 2 + chance.below(9),
      retryMs: pick(chance, [10, 2_000]),
      extensions: chance.below(3),
    },
    task: taskFrom(chance),
    networkMs: pick(chance, [1, 20, 500]),
    storeMs: pick(chance, [0, 5, 200]),
    trainMs: pick(chance, [10, 2_000, 20_000]),
    lossRate: pick(chance, [0, 0, 0.02, 0.2]),
  };
}

/** Policy, order of selection and patience, each by default in half of the inputs. */
function taskFrom(chance: Random): Config['task'] {
  const policy = pick(chance, [
    undefined,
    undefined,
    undefined,
    { kind: 'bufferedAsynchronous', maxStaleness: chance.below(4) },
    { kind: 'semiSynchronous', maxStaleness: chance.below(3) },
  ]);
  const order = pick(chance, [undefined, undefined, { kind: 'leastRecentlyChosen' }, { kind: 'utility' }]);
  const patience = pick(chance, [undefined, undefined, 1, 3]);
  const quarantine = pick(chance, [
    undefined,
    { refusals: 1, rounds: 1, forMs: 60_000 },
    { refusals: 2, rounds: 3, forMs: 600_000 },
  ]);
  return {
    ...(policy && { policy }),
    ...(quarantine && { limits: { quarantine } }),
    ...(order && { selection: { order } }),
    ...(patience !== undefined && { deadline: { patience } }),
  };
}

const poisons: readonly Poison[] = [
  'not-finite',
  'bad-envelope',
  'norm',
  'layout',
  'examples',
  'stale-base',
  'incomplete',
];

type Make<K extends OpKind> = (chance: Random, config: Config) => Extract<Op, { op: K }>;

const agent = (chance: Random, { agents }: Config): number => chance.below(agents);
const when = (chance: Random): 'before' | 'after' => (chance.below(2) === 0 ? 'before' : 'after');

const makers: { readonly [K in OpKind]: Make<K> } = {
  advance: (chance) => ({ op: 'advance', ms: pick(chance, [1, 50, 500, 3_000, 15_000, 60_000]) }),
  checkIn: (chance, config) => ({ op: 'checkIn', agent: agent(chance, config) }),
  dropOut: (chance, config) => ({ op: 'dropOut', agent: agent(chance, config), silent: chance.below(2) === 0 }),
  agentCrash: (chance, config) => ({ op: 'agentCrash', agent: agent(chance, config), downMs: chance.below(20_000) }),
  report: (chance, config) => ({ op: 'report', agent: agent(chance, config) }),
  reportTwice: (chance, config) => ({ op: 'reportTwice', agent: agent(chance, config) }),
  reportStale: (chance, config) => ({ op: 'reportStale', agent: agent(chance, config) }),
  reportAnew: (chance, config) => ({ op: 'reportAnew', agent: agent(chance, config) }),
  reportForged: (chance, config) => ({ op: 'reportForged', agent: agent(chance, config) }),
  poison: (chance, config) => ({ op: 'poison', agent: agent(chance, config), how: pick(chance, poisons) }),
  trainingFails: (chance, config) => ({ op: 'trainingFails', agent: agent(chance, config) }),
  slow: (chance, config) => ({ op: 'slow', agent: agent(chance, config), factor: pick(chance, [1, 3, 30]) }),
  crash: (chance) => ({
    op: 'crash',
    at: chance.below(2) === 0 ? 'store' : 'transport',
    nth: 1 + chance.below(20),
    when: when(chance),
    downMs: pick(chance, [0, 500, 5_000, 40_000]),
  }),
  storeFails: (chance) => ({
    op: 'storeFails',
    nth: 1 + chance.below(20),
    when: when(chance),
    times: 1 + chance.below(4),
  }),
  restart: (chance) => ({ op: 'restart', downMs: pick(chance, [0, 2_000]) }),
  freeze: (chance) => ({ op: 'freeze', ms: pick(chance, [2_000, 20_000, 90_000]) }),
  partition: (chance, config) => ({ op: 'partition', agent: agent(chance, config) }),
  heal: () => ({ op: 'heal' }),
  clockJump: (chance) => ({ op: 'clockJump', ms: pick(chance, [-3_600_000, -5_000, 5_000, 3_600_000]) }),
  diskFull: (chance) => ({ op: 'diskFull', ms: pick(chance, [100, 5_000, 60_000]) }),
  evaluateWorse: (chance) => ({ op: 'evaluateWorse', accuracy: pick(chance, [0.2, 0.5, 0.95]) }),
  workFails: (chance) => ({
    op: 'workFails',
    work: pick(chance, ['fold', 'quantize', 'evaluate'] as const),
    times: 1 + chance.below(2),
  }),
  start: () => ({ op: 'start' }),
  stop: () => ({ op: 'stop' }),
  release: (chance, config) => ({ op: 'release', agent: agent(chance, config) }),
};

function pick<const T extends readonly unknown[]>(chance: Random, values: T): T[number] {
  // An index below the length has a value, which may be undefined itself.
  return values[chance.below(values.length)];
}
