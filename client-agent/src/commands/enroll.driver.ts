/** `graft-agent enroll`: this site joins a federation. */
import { GraftError } from '@graft/core/error';

import { agentPaths } from '../config/agent-paths.js';
import { lockDirectory } from '../config/directory-lock.adapter.js';
import { readIfPresent } from '../config/files.adapter.js';
import { chooseData } from '../enrol/data-path.adapter.js';
import { enrol } from '../enrol/enrol.adapter.js';
import type { CommandContext } from './context.driver.js';

export interface EnrollOptions {
  readonly server: string;
  readonly token: string;
  readonly fingerprint: string;
  readonly data?: string;
  readonly replace?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

export async function enroll({ options, output, directory }: CommandContext<EnrollOptions>): Promise<number> {
  const paths = agentPaths(directory);
  if (options.replace !== true && (await readIfPresent(paths.config)) !== undefined) {
    throw new GraftError('AGENT_ALREADY_ENROLLED', `${directory} holds an agent.yaml already`);
  }
  const data = await chooseData(options.data);
  const lock = await lockDirectory(directory);
  try {
    const config = await enrol({
      directory,
      server: options.server,
      token: options.token,
      fingerprint: options.fingerprint,
      data,
      timeoutMs: options.timeout * 1000,
      onProgress: (line) => output.progress(line),
    });
    const dir = /[^\w./-]/.test(directory) ? `'${directory}'` : directory;
    output.result({ agentId: config.agentId, agentName: config.agentName, federation: config.federation, directory }, [
      `enrolled as ${config.agentName} (${config.agentId}); keys and certificate lie in ${directory}`,
      ...(options.data === undefined ? [`describe your data in ${directory}/data.yaml`] : []),
      `next: graft-agent check --dir ${dir}`,
      `then: graft-agent start --dir ${dir}`,
    ]);
    return 0;
  } finally {
    await lock.release();
  }
}
