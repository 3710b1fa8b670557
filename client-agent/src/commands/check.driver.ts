/** `graft-agent check`: what would go wrong, before it does. Nothing is sent but the TLS handshake. */
import { GraftError } from '@graft/core/error';
import { isatty } from 'node:tty';

import { createColors } from 'picocolors';

import { openAgentDirectory, type EnrolledAgent } from '../config/agent-directory.adapter.js';
import { describeError } from '../output/output.js';
import { formatDuration } from '../output/format.js';
import {
  checkCertificate,
  checkClock,
  checkData,
  checkKeys,
  checkRelease,
  checkRuntime,
  checkServer,
  type CheckResult,
} from '../preflight/checks.adapter.js';
import type { CommandContext } from './context.driver.js';

/** Plain where stdout is no terminal or NO_COLOR is set. */
const colors = createColors(isatty(1) && process.env['NO_COLOR'] === undefined);
const paint = { PASS: colors.green, FAIL: colors.red, WARN: colors.yellow, SKIPPED: colors.dim };

/** Widest name of a check, and of a verdict. */
const nameWidth = 12;
const verdictWidth = 7;

export async function check({
  options,
  output,
  directory,
}: CommandContext<{ readonly timeout: number }>): Promise<number> {
  const startedAtMs = Date.now();
  const results: CheckResult[] = [];
  const agent = await attempt(results, 'config', async () => {
    const found = await openAgentDirectory(directory);
    const { agentName, agentId, federation } = found.config;
    results.push({
      name: 'config',
      verdict: 'PASS',
      detail: `${found.paths.config}: ${agentName} (${agentId}) at ${federation}`,
    });
    return found;
  });
  const checks: readonly (readonly [string, (enrolled: EnrolledAgent) => Promise<CheckResult>])[] = [
    ['keys', checkKeys],
    ['certificate', checkCertificate],
    ['clock', checkClock],
    ['server', (enrolled) => checkServer(enrolled, options.timeout * 1000)],
    ['data', checkData],
    ['device', checkRuntime],
    ['release', checkRelease],
  ];
  for (const [name, run] of checks) {
    if (agent === undefined) results.push({ name, verdict: 'SKIPPED', detail: 'needs a valid configuration' });
    else await attempt(results, name, async () => results.push(await run(agent)));
  }
  const count = (verdict: CheckResult['verdict']): number =>
    results.filter((result) => result.verdict === verdict).length;
  const failed = count('FAIL');
  const end = `${failed} failed, ${count('WARN')} warnings, ${count('SKIPPED')} skipped, ${formatDuration(Date.now() - startedAtMs)} (nothing was sent but the handshake)`;
  const data = { checks: results, failed };
  if (failed > 0 && output.json) {
    const names = results.filter(({ verdict }) => verdict === 'FAIL').map(({ name }) => name);
    throw new GraftError('PREFLIGHT_FAILED', `${names.join(', ')}: ${failed} of ${results.length} checks failed`, {
      details: { failed, checks: JSON.stringify(results) },
    });
  }
  output.result(data, [...results.flatMap(linesOf), end]);
  return failed > 0 ? 4 : 0;
}

/** Runs a check; an error that it throws is its failure. */
async function attempt<Result>(
  results: CheckResult[],
  name: string,
  run: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await run();
  } catch (error) {
    const known = error instanceof GraftError ? error : undefined;
    const { lines } = describeError(error);
    results.push({
      name,
      verdict: 'FAIL',
      detail: [
        known?.message ?? lines[0] ?? 'failed',
        ...lines.filter((line) => line.startsWith('  cause:')).map((line) => line.trim()),
      ].join('; '),
      ...(known === undefined ? {} : { number: known.row.number, fix: known.row.fix }),
    });
    return undefined;
  }
}

function linesOf({ name, verdict, detail, fix, number }: CheckResult): string[] {
  const head = ` ${paint[verdict](verdict.padEnd(verdictWidth))}  ${name.padEnd(nameWidth)}  ${detail}`;
  if (fix === undefined) return [head];
  return [
    head,
    `${' '.repeat(verdictWidth + nameWidth + 5)}Fix: ${fix}${number === undefined ? '' : `   [${number}]`}`,
  ];
}
