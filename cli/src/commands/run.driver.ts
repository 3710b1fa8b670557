/** `graft run` and `graft round`: start, watch and stop runs. */
import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import type { RoundDetail, RoundView, RunView, TaskView } from '../api/views.js';
import { timestamp } from '../output/format.js';
import { table } from '../output/table.js';
import { aboutAbsence, followRun, isOver } from '../runs/follow.driver.js';
import { roundLine, runLine, statusLine } from '../runs/round-line.js';
import { isInHand, roundShow } from '../runs/round-show.js';
import { runShow } from '../runs/run-show.js';
import { show, type Look } from '../runs/show.driver.js';
import { action, connect } from './context.driver.js';

/** Exit code of a run: 0 completed, 1 failed or stopped. */
const exitOf = (run: RunView): number => (run.status === 'completed' ? 0 : 1);

function positive(name: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0)
      throw new GraftError('INVALID_REQUEST', `${name} must be a whole number, got '${text}'`);
    return value;
  };
}

export function registerRun(program: Command): void {
  const run = program.command('run').description('runs of a task: rounds of training, aggregation and evaluation');
  run
    .command('start')
    .argument('<task>', 'name or id of a task')
    .option('--rounds <n>', 'rounds of this run; the task’s own without it', positive('--rounds'))
    .option('--seed <n>', 'seed of this run', positive('--seed'), 1)
    .description('start a run and print its id')
    .action(
      action<{ rounds?: number; seed: number }>(async ({ options, args, output }) => {
        const api = await connect(options);
        const task = await api.get<TaskView>(`/tasks/${encodeURIComponent(args[0] ?? '')}`);
        const started = await api.post<RunView>('/runs', {
          taskId: task.id,
          seed: options.seed,
          ...(options.rounds !== undefined && { rounds: options.rounds }),
        });
        output.result(started, [`run ${started.id} started`, `next: graft run watch ${started.id}`], [started.id]);
      }),
    );
  run
    .command('watch')
    .argument('<run>', 'id of a run')
    .description('print one line a round until the run is over')
    .action(
      action<object>(async ({ options, args, output }) => {
        const api = await connect(options);
        const ended = await followRun(api, args[0] ?? '', {
          round: (round, one) => output.event({ event: 'round', ...round }, roundLine(round, one.rounds)),
          status: (one, rounds) => output.status(statusLine(one, rounds)),
          ...aboutAbsence((line) => output.progress(line)),
        });
        output.status('');
        output.event({ event: 'end', terminal: true, ...ended }, runLine(ended));
        return exitOf(ended);
      }),
    );
  run
    .command('wait')
    .argument('<run>', 'id of a run')
    .option('--timeout <seconds>', 'give up after this time with exit code 3', positive('--timeout'))
    .description('wait until the run is over and answer once')
    .action(
      action<{ timeout?: number }>(async ({ options, args, output }) => {
        const api = await connect(options);
        const deadline = options.timeout === undefined ? {} : { deadlineMs: Date.now() + options.timeout * 1000 };
        const ended = await followRun(
          api,
          args[0] ?? '',
          {
            round: () => undefined,
            status: (one, rounds) => output.status(statusLine(one, rounds)),
            ...aboutAbsence((line) => output.progress(line)),
          },
          deadline,
        );
        output.status('');
        output.result(ended, [runLine(ended)], [ended.id]);
        return exitOf(ended);
      }),
    );
  run
    .command('list')
    .description('runs, newest first')
    .action(
      action<object>(async ({ options, output }) => {
        const runs = await (await connect(options)).get<RunView[]>('/runs');
        const rows = runs.map((one) => [
          one.id,
          one.taskName,
          one.status,
          `${one.round}/${one.rounds}`,
          timestamp(one.createdAtMs),
          one.reason,
        ]);
        output.result(
          runs,
          runs.length === 0
            ? ['no runs yet: graft run start TASK']
            : table(['id', 'task', 'status', 'round', 'started (UTC)', 'reason'], rows),
          runs.map(({ id }) => id),
        );
      }),
    );
  run
    .command('show')
    .argument('<run>', 'id of a run')
    .option('--watch', 'draw it anew until the run is over')
    .option('--all', 'every round, however many they are')
    .description('where a run stands, what it waits for, and its rounds')
    .action(
      action<ShowFlags>(async ({ options, args, output }) => {
        const api = await connect(options);
        const look = async (): Promise<Look> => {
          const one = await api.get<RunView>(`/runs/${args[0] ?? ''}`);
          const rounds = await api.get<RoundView[]>(`/runs/${one.id}/rounds`);
          const lines = (width: number): string[] => runShow(one, rounds, { width, ...shown(options) });
          return { data: { ...one, roundsDone: rounds }, lines, isOver: isOver(one) };
        };
        await show(output, look, options.watch ?? false);
      }),
    );
  run
    .command('stop')
    .argument('<run>', 'id of a run')
    .option('--reason <text>', 'why; shown beside the run', 'stopped by the operator')
    .description('stop a run; what was committed stays')
    .action(
      action<{ reason: string }>(async ({ options, args, output }) => {
        const stopped = await (
          await connect(options)
        ).post<RunView>(`/runs/${args[0] ?? ''}/stop`, { reason: options.reason });
        output.result(stopped, [runLine(stopped)], [stopped.id]);
      }),
    );

  program
    .command('round')
    .description('one round of a run')
    .command('show')
    .argument('<run>', 'id of a run')
    .argument('<round>', 'number of the round')
    .option('--watch', 'draw it anew until the round is over')
    .option('--all', 'every agent, however many they are')
    .description('what each agent did in a round, the worst first')
    .action(
      action<ShowFlags>(async ({ options, args, output }) => {
        const api = await connect(options);
        const [runId = '', number = ''] = args;
        const look = async (): Promise<Look> => {
          const one = await api.get<RunView>(`/runs/${runId}`);
          const round = await api.get<RoundDetail>(`/runs/${one.id}/rounds/${number}`);
          const lines = (width: number): string[] => roundShow(one, round, { width, ...shown(options) });
          return { data: { ...round, run: one }, lines, isOver: !isInHand(round, one) };
        };
        await show(output, look, options.watch ?? false);
      }),
    );
}

interface ShowFlags {
  readonly watch?: boolean;
  readonly all?: boolean;
}

const shown = ({ all }: ShowFlags): { readonly showAll: boolean; readonly nowMs: number } => ({
  showAll: all ?? false,
  nowMs: Date.now(),
});
