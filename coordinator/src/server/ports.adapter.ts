/**
 * Port 0 means any free port, but the same after a restart: agents come back to the address that they enrolled with.
 * The ports of the last start lie in ports.json.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { z } from 'zod';

import type { Config } from '../config/config.js';
import { writeSecret } from './keys.adapter.js';
import type { Log } from './log.js';

const portsSchema = z.object({ apiPort: z.int(), grpcPort: z.int(), enrolPort: z.int() });

export type Ports = z.infer<typeof portsSchema>;

const fileIn = (directory: string): string => join(directory, 'ports.json');

/** The ports to listen on: those asked for; where that is 0, the last ones if they are free. */
export async function portsFor(directory: string, config: Config, log: Log): Promise<Ports> {
  const last = await lastPorts(directory);
  const choose = async (name: keyof Ports, host: string): Promise<number> => {
    const [asked, before] = [config[name], last?.[name]];
    if (asked !== 0 || before === undefined) return asked;
    if (await isFree(before, host)) return before;
    log.warn(
      { port: before, [name]: asked },
      'the port of the last start is taken; agents that know it cannot come back',
    );
    return 0;
  };
  return {
    apiPort: await choose('apiPort', config.apiHost),
    grpcPort: await choose('grpcPort', '127.0.0.1'),
    enrolPort: await choose('enrolPort', '127.0.0.1'),
  };
}

export async function rememberPorts(directory: string, ports: Ports): Promise<void> {
  await writeSecret(fileIn(directory), JSON.stringify(ports));
}

/** Undefined where there was no start, or the file is damaged: then any port will do. */
async function lastPorts(directory: string): Promise<Ports | undefined> {
  try {
    return portsSchema.safeParse(JSON.parse(await readFile(fileIn(directory), 'utf8'))).data;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as Error).name === 'SyntaxError') return undefined;
    throw error;
  }
}

async function isFree(port: number, host: string): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}
