/** What a number of simulations came to. */
import type { Input } from './input.js';
import type { Outcome } from './simulate.js';

export interface Failed {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
  readonly command: string;
}

export interface Report {
  readonly simulations: number;
  readonly onDatabase: number;
  readonly operations: number;
  readonly tasks: number;
  readonly coordinatorDeaths: number;
  readonly roundsCommitted: number;
  readonly runs: Readonly<Record<string, number>>;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly virtualHours: number;
  readonly seconds: number;
  readonly failures: readonly Failed[];
}

export interface Summary {
  add(input: Input, outcome: Outcome): void;
  failed(failure: Failed): void;
  failures(): readonly Failed[];
  report(nowMs: number): Report;
}

export function createSummary(startMs: number): Summary {
  const total = { simulations: 0, onDatabase: 0, operations: 0, tasks: 0, coordinatorDeaths: 0, roundsCommitted: 0 };
  const runs: Record<string, number> = {};
  const verdicts: Record<string, number> = {};
  const failures: Failed[] = [];
  let virtualMs = 0;
  return {
    add: ({ config, ops }, outcome) => {
      total.simulations += 1;
      total.onDatabase += config.store === 'database' ? 1 : 0;
      total.operations += ops.length;
      total.tasks += outcome.tasks;
      total.coordinatorDeaths += outcome.deaths;
      total.roundsCommitted += outcome.roundsCommitted;
      virtualMs += outcome.virtualMs;
      for (const status of outcome.statuses) runs[status] = (runs[status] ?? 0) + 1;
      for (const [verdict, count] of Object.entries(outcome.verdicts))
        verdicts[verdict] = (verdicts[verdict] ?? 0) + count;
    },
    failed: (failure) => void failures.push(failure),
    failures: () => failures,
    report: (nowMs) => ({
      ...total,
      runs,
      verdicts,
      failures,
      virtualHours: Math.round(virtualMs / 36_000) / 100,
      seconds: Math.round((nowMs - startMs) / 100) / 10,
    }),
  };
}

export function showSummary(report: Report): string {
  const counts = (all: Readonly<Record<string, number>>): string =>
    Object.entries(all)
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  const lines = [
    `${report.simulations} simulations (${report.onDatabase} on the database), ${report.operations} operations, ${report.tasks} tasks, ${report.seconds} s`,
    `${report.virtualHours} virtual hours, ${report.coordinatorDeaths} deaths of a coordinator, ${report.roundsCommitted} rounds committed`,
    `runs: ${counts(report.runs)}`,
    `verdicts: ${counts(report.verdicts)}`,
    `${report.failures.length} failures`,
    ...report.failures.map(({ seed, message, command }) => `  seed ${seed}: ${message}\n    ${command}`),
  ];
  return `${lines.join('\n')}\n`;
}
