/** The way from an agent, or an operator, to the coordinator: requests and answers that take a while, are lost, or meet nobody. */
import { GraftError } from '../../../core/src/error.js';
import type { CoordinatorProcess } from './coordinator-process.js';
import type { World } from './world.js';

export interface Link {
  /** True while no byte passes. */
  cut: boolean;
}

/** A caller gives up on an answer after this. */
export const requestMs = 10_000;
/** A connection on which no byte passes is noticed after this. */
export const keepaliveMs = 20_000;

export function latencyMs({ chance, config }: World): number {
  return 1 + chance.below(config.networkMs + 1);
}

/**
 * Asks the coordinator. Rejects where it is not there, dies, or the answer does not come in time; whether it was done is unknown then.
 */
export function request<T>(
  world: World,
  link: Link,
  label: string,
  call: (process: CoordinatorProcess) => Promise<T>,
): Promise<T> {
  const { scheduler, chance, config, faults } = world;
  return new Promise((resolve, reject) => {
    const isLost = (): boolean => link.cut || chance.next() < config.lossRate;
    const refuse = (message: string): void => {
      scheduler.after(latencyMs(world), `${label} fails`, () => reject(new GraftError('UNAVAILABLE', message)));
    };
    scheduler.after(requestMs, `${label} timed out`, () =>
      reject(new GraftError('TIMED_OUT', `${label} got no answer`)),
    );

    const answer = (process: CoordinatorProcess, settle: () => void): void => {
      if (isLost()) return;
      process.after(latencyMs(world), `${label} answered`, () => {
        if (!link.cut) settle();
      });
    };
    const handle = async (process: CoordinatorProcess, done: () => void): Promise<void> => {
      try {
        const value = await call(process);
        answer(process, () => resolve(value));
      } catch (error) {
        answer(process, () => reject(error));
      }
      done();
    };
    scheduler.after(latencyMs(world), label, () => {
      if (isLost()) return;
      const process = world.coordinator();
      if (process === undefined || !process.isOpen()) return refuse('nobody listens');
      const fate = faults.fateOf('transport', scheduler.nowMs(), false);
      if (fate.kind !== 'crash') return void handle(process, () => undefined);
      if (fate.when === 'before') {
        world.crash(process, fate.downMs);
        return refuse('the connection was reset');
      }
      void handle(process, () => {
        if (process.isAlive()) world.crash(process, fate.downMs);
      });
      return refuse('the connection was reset');
    });
  });
}
