/** `graft demo`: a federation on this machine, from nothing to predictions. */
import { resolve } from 'node:path';

import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import { freshDirectory, leftBehind, nextCommands, runDemo } from '../demo/demo.driver.js';
import { resultEvent, resultLines } from '../demo/report.js';
import { demoDefaults, type DemoOptions } from '../demo/scenario.js';
import { endProcesses } from '../demo/stage.driver.js';
import type { Child } from '../processes/child.driver.js';
import { action, terminal } from './context.driver.js';
import { quoted } from '../output/quoted.js';

function between(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new GraftError('INVALID_REQUEST', `${name} must be a whole number from ${least} to ${most}, got '${text}'`);
    }
    return value;
  };
}

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('four banks learn to read handwritten digits: coordinator and agents as processes on this machine')
    .option('--sites <n>', 'how many banks', between('--sites', 2, 20), demoDefaults.sites)
    .option('--rounds <n>', 'how many rounds', between('--rounds', 1, 1000), demoDefaults.rounds)
    .option('--images <n>', 'labelled images at each bank', between('--images', 20, 2000), demoDefaults.images)
    .option('--seed <n>', 'seed of data, weights and batches', between('--seed', 0, 2 ** 31), demoDefaults.seed)
    .option('--control', 'also measure a backbone of random weights', false)
    .option('--keep', 'leave everything running and print the address and key of the admin API', false)
    .addHelpText(
      'after',
      '\nWithout --dir it makes a new folder under .graft/ in the current directory.\n\nExamples:\n  graft demo\n  graft demo --sites 6 --rounds 5 --dir /tmp/six-banks --json',
    )
    .action(
      action<DemoOptions>(async ({ options, output }) => {
        const { sites, rounds, images, seed, control, keep } = options;
        const directory =
          options.dir === undefined ? await freshDirectory(resolve('.graft'), 'demo') : resolve(options.dir);
        const earlier = await leftBehind(directory);
        if (earlier !== undefined) throw inUse(directory, earlier.result !== undefined);
        const started: Child[] = [];
        const interrupted = endOnSignal(started);
        try {
          const done = await runDemo({
            directory,
            options: { sites, rounds, images, seed, control, keep },
            output,
            started,
          });
          if (output.json) terminal.out(JSON.stringify(resultEvent(done.result)));
          else
            for (const line of [
              '',
              ...resultLines(done.result),
              '',
              ...nextCommands(directory, done.stage, done.result, keep),
            ])
              terminal.out(line);
          if (keep) started.length = 0;
        } finally {
          interrupted.release();
          await endProcesses(started);
        }
      }),
    );
}

function inUse(directory: string, finished: boolean): GraftError {
  const state = finished
    ? 'a finished demo: its coordinator, its banks and their releases'
    : 'a demo that did not finish';
  return new GraftError(
    'DIRECTORY_IN_USE',
    `${directory} holds ${state}; look at it with graft up --dir ${quoted(`${directory}/coordinator`)} --detach and graft run list --dir ${quoted(`${directory}/coordinator`)}`,
  );
}

/** Ctrl-C and SIGTERM end the processes that were started first; a second signal ends at once. */
function endOnSignal(started: readonly Child[]): { release(): void } {
  const onSignal = (): void => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    terminal.err('stopping: ending the agents and the coordinator');
    void endProcesses(started).then(() => process.exit(130));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    release: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
