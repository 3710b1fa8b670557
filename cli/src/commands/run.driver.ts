/** `graft run` and `graft round`: start, watch and stop runs. */
import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import type { AgentView, RoundView, RunView, TaskView } from '../api/views.js';
import { bytes, duration, share, timestamp } from '../output/format.js';
import { table } from '../output/table.js';
import { followRun, isOver } from '../runs/follow.driver.js';
import { roundLine, runLine, statusLine } from '../runs/round-line.js';
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

/** The operators of a candidate in both precisions, most frequent first. */
function operatorLines({ record }: RoundView): string[] {
  const { none, operators } = record.quantization ?? {};
  if (none !== undefined) return [`not quantized: ${none}`];
  const line = (precision: 'fp32' | 'int8'): string[] => {
    const counts = Object.entries(operators?.[precision] ?? {}).sort(([, a], [, b]) => b - a);
    return counts.length === 0
      ? []
      : [`operators ${precision}  ${counts.map(([name, count]) => `${name} ${count}`).join(', ')}`];
  };
  return [...line('fp32'), ...line('int8')];
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
          { round: () => undefined, status: (one, rounds) => output.status(statusLine(one, rounds)) },
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
    .description('a run and its rounds')
    .action(
      action<object>(async ({ options, args, output }) => {
        const api = await connect(options);
        const one = await api.get<RunView>(`/runs/${args[0] ?? ''}`);
        const rounds = await api.get<RoundView[]>(`/runs/${one.id}/rounds`);
        output.result({ ...one, roundsDone: rounds }, [
          runLine(one),
          `task ${one.taskName}, started ${timestamp(one.createdAtMs)} UTC${isOver(one) ? '' : `, ${statusLine(one, rounds)}`}`,
          ...rounds.map((round) => roundLine(round, one.rounds)),
        ]);
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
    .description('what each agent did in a round')
    .action(
      action<object>(async ({ options, args, output }) => {
        const api = await connect(options);
        const [runId = '', number = ''] = args;
        const one = await api.get<RunView>(`/runs/${runId}`);
        const round = await api.get<RoundView>(`/runs/${runId}/rounds/${number}`);
        const names = new Map((await api.get<AgentView[]>('/agents')).map(({ id, name }) => [id, name]));
        const rows = Object.entries(round.record.agents).map(([id, agent]) => [
          names.get(id) ?? id,
          agent.state,
          String(agent.exampleCount ?? '-'),
          agent.loss?.toFixed(3) ?? '-',
          bytes(agent.bytesUp),
          bytes(agent.bytesDown),
          agent.seconds === undefined ? '-' : duration(agent.seconds * 1000),
          agent.message ?? agent.reason ?? '',
        ]);
        const gate = round.record.gate;
        output.result(round, [
          roundLine(round, one.rounds),
          ...table(['site', 'state', 'examples', 'loss', 'up', 'down', 'took', 'reason'], rows),
          ...(gate?.checks ?? []).map((check) => `${check.passed ? 'PASS' : 'FAIL'}  ${check.message}`),
          ...(gate?.fp32 === undefined
            ? []
            : [
                `fp32 accuracy ${share(gate.fp32.accuracy)}${gate.int8 === undefined ? '' : `, int8 ${share(gate.int8.accuracy)}`}`,
              ]),
          ...operatorLines(round),
          ...round.record.abandoned.map(({ attempt, reason }) => `attempt ${attempt} was abandoned: ${reason}`),
        ]);
      }),
    );
}
