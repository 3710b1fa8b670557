/** agent.yaml: what an agent knows about its coordinator. Written by `graft-agent enroll`, read at every start. */
import { GraftError } from '@graft/core/error';
import { z } from 'zod';

import { engineSchema } from '../trainer/training/engine-spec.js';

const address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'expected host:port');

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
  /** What training runs on. */
  training: engineSchema.prefault({}),
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
