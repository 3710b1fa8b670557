/** `graft site`: the organisations that take part. */
import type { Command } from 'commander';

import { GraftError } from '@graft/core/error';

import type { AgentView, InviteView } from '../api/views.js';
import { timestamp } from '../output/format.js';
import { table } from '../output/table.js';
import { action, connect } from './context.driver.js';

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** '24h' -> milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+)(m|h|d)$/.exec(text);
  const unit = match?.[2] as keyof typeof units | undefined;
  if (match === null || unit === undefined)
    throw new GraftError('INVALID_REQUEST', `'${text}' is not a duration such as 30m, 24h or 7d`);
  return Number(match[1]) * units[unit];
}

export function registerSite(program: Command): void {
  const site = program.command('site').description('sites that take part: invite, list, revoke');
  site
    .command('invite')
    .requiredOption('--name <name>', 'name of the site')
    .option('--expires <duration>', 'how long the token may be used', parseDuration, parseDuration('24h'))
    .description('make a one-time token, and print the line to type at the site')
    .action(
      action<{ name: string; expires: number }>(async ({ options, output }) => {
        const invite = await (
          await connect(options)
        ).post<InviteView>('/enrolment-tokens', { name: options.name, expiresInMs: options.expires });
        output.result(
          invite,
          [
            `invited ${invite.name}; the token works once, until ${timestamp(invite.expiresAtMs)} UTC. Type at the site:`,
            `  ${invite.command}`,
          ],
          [invite.token],
        );
      }),
    );
  site
    .command('list')
    .description('sites and whether they are connected')
    .action(
      action<object>(async ({ options, output }) => {
        const agents = await (await connect(options)).get<AgentView[]>('/agents');
        const rows = agents.map((agent) => [
          agent.name,
          standing(agent, Date.now()),
          agent.agentVersion ?? '-',
          agent.lastSeenAtMs === undefined ? 'never' : timestamp(agent.lastSeenAtMs),
          agent.id,
        ]);
        output.result(
          agents,
          agents.length === 0
            ? ['no sites yet: graft site invite --name NAME']
            : [
                ...table(['name', 'state', 'version', 'last seen (UTC)', 'id'], rows),
                ...agents.flatMap(quarantineLines),
              ],
          agents.map(({ id }) => id),
        );
      }),
    );
  site
    .command('tag')
    .argument('<site>', 'name or id of a site')
    .argument('[tags...]', 'words that tasks may ask for; none takes all away')
    .description('replace the tags that you give a site')
    .action(
      action<object>(async ({ options, args, output }) => {
        const [name = '', ...tags] = args;
        const tagged = await (
          await connect(options)
        ).post<AgentView>(`/agents/${encodeURIComponent(name)}/tags`, { tags });
        const words = tagged.tags.length === 0 ? 'no tags of yours' : tagged.tags.join(' ');
        output.result(tagged, [`${tagged.name}: ${words}`], [tagged.id]);
      }),
    );
  site
    .command('release')
    .argument('<site>', 'name or id of a site')
    .option('--task <task>', 'name or id of a task; all tasks where it is left out')
    .description('let a site back that is in quarantine because its updates were refused')
    .action(
      action<{ task?: string }>(async ({ options, args, output }) => {
        const body = options.task === undefined ? {} : { task: options.task };
        const back = await (
          await connect(options)
        ).post<AgentView>(`/agents/${encodeURIComponent(args[0] ?? '')}/release`, body);
        const left = (back.quarantines ?? []).map(({ task }) => task);
        const still = left.length === 0 ? '' : `; still in quarantine for ${left.join(', ')}`;
        output.result(back, [`${back.name} may take part again${still}`], [back.id]);
      }),
    );
  site
    .command('revoke')
    .argument('<site>', 'name or id of a site')
    .option('--reason <text>', 'why; goes into the audit log', 'revoked by the operator')
    .description('end a site’s access at once; its certificate is refused from then on')
    .action(
      action<{ reason: string }>(async ({ options, args, output }) => {
        const revoked = await (
          await connect(options)
        ).post<AgentView>(`/agents/${encodeURIComponent(args[0] ?? '')}/revoke`, { reason: options.reason });
        output.result(revoked, [`${revoked.name} is revoked`], [revoked.id]);
      }),
    );
}

/** Why a site is not asked for a task, and the way back. */
function quarantineLines({ name, quarantines = [] }: AgentView): string[] {
  return quarantines.map(
    ({ task, reason, untilMs }) =>
      `${name} is in quarantine for ${task} until ${timestamp(untilMs)} UTC: ${reason}; sooner back with: graft site release ${name} --task ${task}`,
  );
}

const lateMs = 60_000;

/** 'paused: backup' for a site that is connected and takes no work. */
function standing({ state, connected, paused, expectedAtMs = 0 }: AgentView, nowMs: number): string {
  if (state !== 'active') return state;
  // Somewhat late is not gone: its clock and its way here are its own.
  if (!connected && expectedAtMs + lateMs >= nowMs)
    return `expected back at ${timestamp(expectedAtMs).slice(11, 16)} UTC`;
  if (!connected) return 'offline';
  return paused === undefined ? 'online' : `paused (${paused})`;
}
