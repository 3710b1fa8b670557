/** agent.yaml: what an agent knows about its coordinator. Written by `graft-agent enroll`, read at every start. */
import { GraftError } from '@graft/core/error';
import { z } from 'zod';

import { engineSchema } from '../trainer/training/engine-spec.js';
import { transfersSchema } from '../transfers/settings.js';
import { parseHours } from './hours.js';

const address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'expected host:port');

const word = z.string().min(1).max(128);

/** What the site wants of one task. */
const taskSchema = z.strictObject({
  /** In place of the coordinator's: work of a higher priority goes first. */
  priority: z.number().int().min(0).max(100).optional(),
  /** False: the site takes no part in the task. */
  accept: z.boolean().default(true),
});

const isLoopback = (place: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\]):/u.test(place);

/** Where the site's own monitoring may read what the agent counts. */
const metricsSchema = z
  .strictObject({
    /** host:port of GET /metrics. */
    address,
    /** True: also other machines may read it. It has no TLS and no key. */
    beyondLoopback: z.boolean().default(false),
  })
  .refine(({ address: place, beyondLoopback }) => beyondLoopback || isLoopback(place), {
    path: ['address'],
    message: 'expected an address of this machine alone, such as 127.0.0.1:9464, or beyondLoopback: true',
  });

export const agentConfigSchema = z.strictObject({
  agentId: z.string().min(1),
  agentName: z.string().min(1),
  /** host:port of the enrolment service that issued the certificate. */
  server: address,
  /** host:port of the federation service. */
  federation: address,
  /** sha256 of the coordinator's CA certificate, as it was pinned at enrolment. */
  fingerprint: z.string().min(1),
  /** Ed25519 public key of the coordinator, base64: it signs round keys and releases. */
  identityKey: z.base64(),
  /** The file data.yaml; a relative path is resolved against the agent's directory. */
  data: z.string().min(1).default('data.yaml'),
  reconnect: z
    .strictObject({
      /** First wait after a lost connection, milliseconds. */
      baseMs: z.number().int().min(1).max(60_000).default(200),
      /** Longest wait between two attempts, milliseconds. */
      capMs: z.number().int().min(1).max(600_000).default(5_000),
    })
    .prefault({}),
  /** When a connection that says nothing is taken for dead. */
  keepalive: z
    .strictObject({
      /** Silence before the coordinator is asked whether it still lives, milliseconds. */
      intervalMs: z.number().int().min(500).max(600_000).default(10_000),
      /** Wait for its answer, milliseconds. */
      timeoutMs: z.number().int().min(100).max(60_000).default(5_000),
    })
    .prefault({}),
  /** Words of the site's own choice that tasks may ask for, such as 'region=north'; told to the coordinator. */
  tags: z.array(word).max(64).default([]),
  /** By the name of a task: which goes first here, and which the site takes no part in. */
  tasks: z.record(word, taskSchema).default({}),
  /** Pieces of work at once, each with a trainer process and its memory. */
  parallelJobs: z.number().int().min(1).max(8).default(1),
  /** When the site computes for the federation: '20:00-06:00 Europe/Berlin'. Always where it is left out. */
  hours: z
    .string()
    .refine((text) => parseHours(text) !== undefined, {
      message: "expected hours and a time zone, such as '20:00-06:00 Europe/Berlin'",
    })
    .optional(),
  /** How long SIGTERM and Ctrl-C wait for the work in hand before it is left with its checkpoint, milliseconds. */
  stopLimitMs: z.number().int().min(0).max(600_000).default(5_000),
  /** What training runs on. */
  training: engineSchema.prefault({}),
  /** A local page of metrics; none where it is left out. */
  metrics: metricsSchema.optional(),
  /** How much of the site's line the agent may use. */
  transfers: transfersSchema.prefault({}),
  /** Bytes that downloaded models may occupy before the oldest are deleted. */
  cacheBytes: z.number().int().min(1_000_000).default(4_000_000_000),
  /** Installed releases that are kept beside the current one. */
  keepReleases: z.number().int().min(0).max(100).default(2),
});

export type AgentConfig = z.infer<typeof agentConfigSchema>;

/** Checks parsed YAML. Throws AGENT_CONFIG_INVALID that names the first field that is wrong. */
export function parseAgentConfig(source: unknown, file: string): AgentConfig {
  const parsed = agentConfigSchema.safeParse(source);
  if (parsed.success) return parsed.data;
  throw new GraftError('AGENT_CONFIG_INVALID', `${file}: ${firstIssue(parsed.error)}`, { cause: parsed.error });
}

/** 'reconnect.capMs: Too big: expected number to be <=600000'. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'does not match its schema';
  const path = issue.path.join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}
