/** The one place that reads what the coordinator was started with: flags first, then GRAFT_* variables, then defaults. */
import { z } from 'zod';

import { GraftError } from '@graft/core/error';

import { replicaFlags, replicaSettings } from './replica-settings.js';
import { secretVariables, storeFlags, storeSettings } from './store-settings.js';

const port = z.coerce.number().int().min(0).max(65_535);
const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const configSchema = z.object({
  /** Everything the coordinator keeps lies in here. */
  dir: z.string().min(1),
  /** Address of the admin API; loopback unless asked otherwise, because it speaks plain HTTP. */
  apiHost: z.string().min(1).default('127.0.0.1'),
  /** Ports; 0 takes any free one. */
  apiPort: port.default(8080),
  grpcPort: port.default(9090),
  enrolPort: port.default(9091),
  /** Names and addresses under which agents reach the coordinator: they go into its certificate, the first is told to agents. */
  hosts: z.array(z.string().min(1).max(253)).min(1).default(['localhost', '127.0.0.1']),
  ...storeSettings,
  ...replicaSettings,
  logLevel: z.enum(logLevels).default('info'),
  /** JSON lines for machines, or lines for people. */
  logFormat: z.enum(['json', 'pretty']).default('json'),
  /** Where traces go: otlp=http://host:4318; absent for none. */
  traces: z
    .string()
    .regex(/^otlp=https?:\/\/[^\s]+$/u, 'must be otlp=http://host:port')
    .optional(),
  /** Agents that have metrics of their own; 0 for none. */
  metricsAgents: z.coerce.number().int().min(0).max(10_000).default(200),
  /** Silence on an agent's connection before the coordinator asks whether the host still lives, milliseconds; it waits up to 5 s for the answer. */
  keepaliveMs: z.coerce.number().int().min(500).max(600_000).default(10_000),
  /** An agent that no round needs may be sent away for so long, milliseconds; 0 keeps every agent connected. */
  longestAwayMs: z.coerce
    .number()
    .int()
    .min(0)
    .max(24 * 3_600_000)
    .default(0),
});

export type Config = z.infer<typeof configSchema>;

/** Flag, key of the configuration, and variable that stands in for the flag. */
const flags = {
  '--dir': ['dir', 'GRAFT_DIR'],
  '--api-host': ['apiHost', 'GRAFT_API_HOST'],
  '--api-port': ['apiPort', 'GRAFT_API_PORT'],
  '--grpc-port': ['grpcPort', 'GRAFT_GRPC_PORT'],
  '--enrol-port': ['enrolPort', 'GRAFT_ENROL_PORT'],
  '--host': ['hosts', 'GRAFT_HOSTS'],
  ...storeFlags,
  ...replicaFlags,
  '--log-level': ['logLevel', 'GRAFT_LOG_LEVEL'],
  '--log-format': ['logFormat', 'GRAFT_LOG_FORMAT'],
  '--traces': ['traces', 'GRAFT_TRACES'],
  '--metrics-agents': ['metricsAgents', 'GRAFT_METRICS_AGENTS'],
  '--keepalive-ms': ['keepaliveMs', 'GRAFT_KEEPALIVE_MS'],
  '--longest-away-ms': ['longestAwayMs', 'GRAFT_LONGEST_AWAY_MS'],
} as const satisfies Record<string, readonly [keyof Config, string]>;

type Flag = keyof typeof flags;
type Environment = Readonly<Record<string, string | undefined>>;

const isFlag = (text: string): text is Flag => text in flags;

/**
 * The configuration from `--flag value` or `--flag=value` arguments and the environment. `--host` may come several times; GRAFT_HOSTS is a comma-separated list.
 * Throws INVALID_REQUEST, naming the flag, for anything else.
 */
export function readConfig(args: readonly string[], environment: Environment): Config {
  const given: Record<string, string | string[]> = {};
  for (const [key, variable] of Object.values(flags)) {
    const value = environment[variable];
    if (value !== undefined && value !== '') given[key] = key === 'hosts' ? value.split(',') : value;
  }
  for (const [key, variable] of Object.entries(secretVariables)) {
    const value = environment[variable];
    if (value !== undefined && value !== '') given[key] = value;
  }
  const hosts: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const [, flag = args[at] ?? '', joined] = /^(--[a-z-]+)=(.*)$/su.exec(args[at] ?? '') ?? [];
    const value = joined ?? args[++at];
    if (!isFlag(flag)) throw invalid(`there is no option '${flag}'; the options are ${Object.keys(flags).join(', ')}`);
    if (value === undefined) throw invalid(`option ${flag} needs a value`);
    if (flag === '--host') hosts.push(value);
    else given[flags[flag][0]] = value;
  }
  if (hosts.length > 0) given['hosts'] = hosts;
  const parsed = configSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const flag =
    Object.entries<readonly [string, string]>(flags).find(([, [key]]) => key === issue?.path[0])?.[0] ??
    'the configuration';
  throw invalid(`option ${flag}: ${issue?.message ?? 'not valid'}`);
}

function invalid(message: string): GraftError {
  return new GraftError('INVALID_REQUEST', message);
}
