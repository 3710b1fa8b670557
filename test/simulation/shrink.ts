/**
 * The smallest input that still fails in the same way: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
 * Failure-Inducing Input", 2002) on the operations, then a simpler configuration.
 */
import type { Config, Input, Op } from './input.js';
import { simulate } from './simulate.js';

/** Simulations that shrinking may take. */
const mostTries = 400;

export async function shrink(input: Input, invariant: string): Promise<Input> {
  let tries = 0;
  const hasTries = (): boolean => tries < mostTries;
  const fails = async (candidate: Input): Promise<boolean> => {
    tries += 1;
    return tries <= mostTries && (await simulate(candidate)).failure?.invariant === invariant;
  };
  let best = input;
  for (let before = Infinity; best.ops.length < before && hasTries();) {
    before = best.ops.length;
    best = await withoutOps(best, fails);
    best = await withShorterTimes(best, fails);
  }
  for (const config of simplerConfigs(best.config)) {
    const candidate = { ...best, config: { ...best.config, ...config } };
    if (await fails(candidate)) best = candidate;
  }
  return withoutOps(best, fails);
}

type Fails = (candidate: Input) => Promise<boolean>;

async function withoutOps(input: Input, fails: Fails): Promise<Input> {
  let ops = input.ops;
  for (let size = Math.ceil(ops.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < ops.length;) {
      const fewer: readonly Op[] = [...ops.slice(0, at), ...ops.slice(at + size)];
      if (await fails({ ...input, ops: fewer })) ops = fewer;
      else at += size;
    }
  }
  return { ...input, ops };
}

async function withShorterTimes(input: Input, fails: Fails): Promise<Input> {
  let best = input;
  for (let at = 0; at < best.ops.length; at++) {
    const op = best.ops[at];
    if (op?.op !== 'advance' || op.ms < 100) continue;
    for (const ms of [Math.ceil(op.ms / 10), Math.ceil(op.ms / 2)]) {
      const ops = best.ops.map((each, index): Op => (index === at ? { op: 'advance', ms } : each));
      if (!(await fails({ ...best, ops }))) continue;
      best = { ...best, ops };
      break;
    }
  }
  return best;
}

function simplerConfigs(config: Config): Partial<Config>[] {
  return [
    { store: 'memory' },
    { lossRate: 0 },
    { networkMs: 1 },
    { storeMs: 0 },
    { rounds: 1 },
    { kind: 'probe' },
    { task: {} },
    { settings: {} },
    { trainMs: 10 },
    ...(config.agents > 2 ? [{ agents: 2, cohort: { min: 1, goal: 2, max: 2 } }] : []),
  ];
}
