/** `graft simulate`: thousands of virtual agents through the coordinator's own rounds. */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';

import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import { readText } from '../processes/files.adapter.js';
import { beginLine, resultTable, simulatedRoundLine, type ResultEvent } from '../simulate/events.js';
import { simulationRequest, type SimulateOptions } from '../simulate/request.js';
import { simulate } from '../simulate/simulate.driver.js';
import { action, terminal } from './context.driver.js';

const whole =
  (name: string, least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new GraftError('INVALID_REQUEST', `${name} must be a whole number from ${least} to ${most}, got '${text}'`);
  };

const positive =
  (name: string) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isFinite(value) && value > 0) return value;
    throw new GraftError('INVALID_REQUEST', `${name} must be a number above 0, got '${text}'`);
  };

export function registerSimulate(program: Command): void {
  program
    .command('simulate')
    .description('thousands of virtual agents through the real rounds, on a virtual clock: time to accuracy')
    .option(
      '--agents <n>',
      'virtual agents; default 1000, or the devices of a trace file',
      whole('--agents', 1, 1_000_000),
    )
    .option('--rounds <n>', 'rounds; default the task’s own', whole('--rounds', 1, 1_000_000))
    .option('--task <file>', 'a task: its cohort, window, policy and training; a fit task trains the digits network')
    .option('--preset <name>', 'a task that is built in: digits', 'digits')
    .option('--trace <name>', 'devices: phones, hospitals, or a CSV or JSON file of your own', 'phones')
    .option('--policy <kind>', 'synchronous, bufferedAsynchronous or semiSynchronous; default the task’s own')
    .option('--compare <kinds>', 'several policies, separated by commas, one after another on the same agents')
    .option('--goal <n>', 'updates a round; default a tenth of the agents, at most 200', whole('--goal', 1, 100_000))
    .option('--alpha <x>', 'how alike the agents’ classes are (Dirichlet); small is unlike', positive('--alpha'), 0.5)
    .option('--days <n>', 'virtual days after which it ends in any case', positive('--days'), 30)
    .option('--processes <n>', 'processes that train; default one a core', whole('--processes', 1, 256))
    .option('--seed <n>', 'seed of devices, data, weights and cohorts', whole('--seed', 0, 2 ** 31), 1)
    .option('--out <file>', 'also write every line as JSON into a file')
    .addHelpText(
      'after',
      '\nThe machine, admission, opening and folding are the coordinator’s own code, and training is real; time is virtual.' +
        '\nThe same seed gives the same figures, wall time apart. The form of a trace: docs/scale.md.' +
        '\n\nExamples:\n  graft simulate --agents 2000 --rounds 30\n  graft simulate --compare synchronous,bufferedAsynchronous --trace phones --json',
    )
    .action(
      action<SimulateOptions & { readonly task?: string; readonly out?: string }>(async ({ options, output }) => {
        const { task: taskFile, out, ...flags } = options;
        const taskText = taskFile === undefined ? undefined : await readText(resolve(taskFile));
        if (taskFile !== undefined && taskText === undefined)
          throw new GraftError('NOT_FOUND', `there is no task file ${taskFile}`);
        const request = simulationRequest(flags, taskText, availableParallelism());
        if ('file' in request.trace && (await readText(resolve(request.trace.file))) === undefined) {
          throw new GraftError(
            'TRACE_INVALID',
            `'${request.trace.file}' is no built-in trace and no file; built in are phones and hospitals`,
          );
        }
        const results: ResultEvent[] = [];
        const told: object[] = [];
        let agents = 0;
        await simulate(request, (event) => {
          told.push(event);
          if (event.event === 'begin') {
            agents = event.agents;
            output.event(event, beginLine(event));
          }
          if (event.event === 'round') output.event(event, simulatedRoundLine(event, request.rounds));
          if (event.event === 'result') results.push(event);
        });
        if (out !== undefined)
          await writeFile(resolve(out), told.map((event) => `${JSON.stringify(event)}\n`).join(''));
        if (output.json) for (const result of results) terminal.out(JSON.stringify(result));
        else for (const line of ['', ...resultTable(results, agents)]) terminal.out(line);
        return results.every(({ status }) => status === 'completed') ? 0 : 1;
      }),
    );
}
