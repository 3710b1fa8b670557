#!/usr/bin/env node
/** Entry of the command graft-agent. */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

import { printError } from './commands/context.driver.js';
import { runCommandLine } from './commands/program.driver.js';

// What went wrong with a connection is told by the agent itself, with what to do about it.
setLogVerbosity(logVerbosity.NONE);

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`);
    process.exit(printError(error, process.argv.includes('--json')));
  });
}

await runCommandLine(process.argv.slice(2));
