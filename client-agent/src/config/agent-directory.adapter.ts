/** An enrolled agent's directory: configuration, keys and certificates as `enroll` wrote them. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { GraftError } from '@graft/core/error';
import { signingKeyFromSeed, type SigningKey } from '@graft/protos/identity/keys';
import { parse } from 'yaml';

import type { TrainerPlaces } from '../trainer/trainer-calls.js';
import { parseAgentConfig, type AgentConfig } from './agent-config.js';
import { agentPaths, type AgentPaths } from './agent-paths.js';
import { isMissing, readIfPresent } from './files.adapter.js';

export interface EnrolledAgent {
  readonly paths: AgentPaths;
  readonly config: AgentConfig;
  readonly places: TrainerPlaces;
  readonly signingKey: SigningKey;
  /** Ed25519 public key of the coordinator. */
  readonly identityKey: Uint8Array;
  /** PEM. */
  readonly tls: { readonly privateKey: Buffer; readonly certificate: Buffer; readonly ca: Buffer };
}

/** Bytes of the seeds and of the identity key. */
const keyBytes = 32;

/** Throws AGENT_NOT_ENROLLED, or AGENT_CONFIG_INVALID for a file that is damaged. */
export async function openAgentDirectory(directory: string): Promise<EnrolledAgent> {
  const paths = agentPaths(directory);
  const config = await readAgentConfig(paths);
  const signingSeed = await readSecret(paths.keys.signing);
  const identityKey = new Uint8Array(Buffer.from(config.identityKey, 'base64'));
  if (signingSeed.length !== keyBytes || identityKey.length !== keyBytes) {
    throw new GraftError('AGENT_CONFIG_INVALID', `a key in ${directory} does not have ${keyBytes} bytes`);
  }
  return {
    paths,
    config,
    places: placesOf(paths, config),
    signingKey: signingKeyFromSeed(signingSeed),
    identityKey,
    tls: {
      privateKey: await readNeeded(paths.keys.tls),
      certificate: await readNeeded(paths.certificates.agent),
      ca: await readNeeded(paths.certificates.ca),
    },
  };
}

/** agent.yaml, checked. Throws AGENT_NOT_ENROLLED where there is none. */
export async function readAgentConfig(paths: AgentPaths): Promise<AgentConfig> {
  const text = await readIfPresent(paths.config);
  if (text === undefined) {
    throw new GraftError('AGENT_NOT_ENROLLED', `${paths.directory} holds no agent.yaml`);
  }
  let source: unknown;
  try {
    source = parse(text);
  } catch (cause) {
    throw new GraftError('AGENT_CONFIG_INVALID', `${paths.config} is not YAML`, { cause });
  }
  return parseAgentConfig(source, paths.config);
}

/** What the trainer process is told of the directory. */
export function placesOf(paths: AgentPaths, config: Pick<AgentConfig, 'data'>): TrainerPlaces {
  return {
    dataFile: resolve(paths.directory, config.data),
    indexFile: paths.index,
    splitFile: paths.split,
    blobs: paths.blobs,
    features: paths.features,
    training: paths.training,
    pauseFile: paths.paused,
  };
}

async function readSecret(file: string): Promise<Uint8Array> {
  return new Uint8Array(Buffer.from((await readNeeded(file)).toString('utf8').trim(), 'base64'));
}

async function readNeeded(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new GraftError('AGENT_NOT_ENROLLED', `${file} is missing`, { cause });
  }
}
