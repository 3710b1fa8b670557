/** Where things lie in an agent's directory. */
export interface AgentPaths {
  readonly directory: string;
  /** agent.yaml: the coordinator, the agent's id, the pinned fingerprint. */
  readonly config: string;
  /** Private keys, mode 0600; made here, never sent. */
  readonly keys: {
    readonly directory: string;
    readonly tls: string;
    readonly signing: string;
    readonly agreement: string;
  };
  readonly certificates: { readonly directory: string; readonly agent: string; readonly ca: string };
  /** Downloaded blobs by hash. */
  readonly blobs: string;
  /** Cached features, by trunk, preprocessing and example. */
  readonly features: string;
  /** Checkpoints of trainings that are not over. */
  readonly training: string;
  /** While this file is there, the site computes nothing for anybody. */
  readonly paused: string;
  /** Written to have the daemon finish its work and end. */
  readonly drain: string;
  /** Hashes of the files of the data set, so that an unchanged file is not read again. */
  readonly index: string;
  /** Records whose side the tenth alone would not keep for ever. */
  readonly split: string;
  /** Reports that the coordinator has not acknowledged yet. */
  readonly outbox: string;
  /** Append-only: everything that left the site. */
  readonly sentLog: string;
  readonly releases: string;
  readonly currentRelease: string;
  /** What the daemon is doing, for `graft-agent status`; holds its process id. */
  readonly status: string;
}

export function agentPaths(directory: string): AgentPaths {
  const at = (path: string): string => `${directory}/${path}`;
  return {
    directory,
    config: at('agent.yaml'),
    keys: {
      directory: at('keys'),
      tls: at('keys/tls.pem'),
      signing: at('keys/signing.key'),
      agreement: at('keys/agreement.key'),
    },
    certificates: { directory: at('certs'), agent: at('certs/agent.pem'), ca: at('certs/ca.pem') },
    blobs: at('cache/blobs'),
    features: at('cache/features'),
    training: at('cache/training'),
    paused: at('paused.json'),
    drain: at('drain.json'),
    index: at('cache/data-index.json'),
    split: at('split.json'),
    outbox: at('outbox'),
    sentLog: at('sent.jsonl'),
    releases: at('releases'),
    currentRelease: at('releases/current'),
    status: at('status.json'),
  };
}
