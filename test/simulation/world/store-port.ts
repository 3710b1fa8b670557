/** The way from a coordinator to its store: each call takes a while there and back, and may be where something fails. */
import { GraftError } from '../../../core/src/error.js';
import type { ProcessStore } from '../stores/simulated-store.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import type { World } from './world.js';

type Call = (...args: unknown[]) => Promise<unknown>;

const reads: ReadonlySet<string> = new Set([
  'task',
  'model',
  'signingKey',
  'traits',
  'lastRelease',
  'load',
  'undone',
  'runIs',
  'updates',
  'wasAccepted',
  'instruction',
  'unsettled',
]);

/** How often a write that was on its way when its coordinator died is done all the same. */
const survivesRate = 0.3;

export function storePort(world: World, process: CoordinatorProcess): ProcessStore {
  const { scheduler, chance, faults, config, ledger } = world;
  const store = world.store.as(process.name);

  const portOf =
    (name: string, call: Call): Call =>
    (...args) =>
      new Promise((resolve, reject) => {
        const latency = (): number => chance.below(config.storeMs + 1);
        const answer = (settle: () => void): void => void process.after(latency(), `store.${name} answers`, settle);
        const perform = async (): Promise<void> => {
          try {
            const result = await call(...args);
            ledger.stored(process.name, name, args, result);
            answer(() => resolve(result));
          } catch (error) {
            answer(() => reject(error));
          }
        };
        const arrive = async (): Promise<void> => {
          if (!process.isAlive()) {
            if (name === 'save' && chance.next() < survivesRate) await perform();
            return;
          }
          const fate = faults.fateOf('store', scheduler.nowMs(), !reads.has(name));
          if (fate.kind !== 'done' || name === 'create') process.disturbed();
          if (fate.kind === 'disk-full') {
            answer(() => reject(new GraftError('DISK_FULL', 'no space is left for the database')));
          } else if (fate.kind === 'fails') {
            if (fate.when === 'after')
              await call(...args).then((result) => ledger.stored(process.name, name, args, result), ignore);
            answer(() => reject(new Error('the connection to the database was lost')));
          } else if (fate.kind === 'crash') {
            if (fate.when === 'after') await perform();
            world.crash(process, fate.downMs);
          } else await perform();
        };
        scheduler.after(latency(), `${process.name} store.${name}`, arrive);
      });

  const calls = Object.entries(store).map(([name, call]) => [name, portOf(name, call as Call)]);
  return Object.fromEntries(calls) as ProcessStore;
}

/** The answer is lost, whatever it was. */
function ignore(): void {
  return undefined;
}
