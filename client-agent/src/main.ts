#!/usr/bin/env node
/** Entry of the command graft-agent. */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

import { printError, processTerminal } from './commands/context.driver.js';
import { runCommandLine } from './commands/program.driver.js';

// What went wrong with a connection is told by the agent itself, with what to do about it.
setLogVerbosity(logVerbosity.NONE);

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : ''}\n`);
    process.exit(printError(error, { json: process.argv.includes('--json'), terminal: processTerminal }));
  });
}

process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal);
