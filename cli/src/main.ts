#!/usr/bin/env node
/** The command `graft`. */
import { createRequire } from 'node:module';

import { Command, CommanderError } from 'commander';

import { terminal } from './commands/context.driver.js';
import { registerBackup } from './commands/backup.driver.js';
import { registerCoordinator } from './commands/coordinator.driver.js';
import { registerDemo } from './commands/demo.driver.js';
import { registerDoctor } from './commands/doctor.driver.js';
import { registerLibrary } from './commands/library.driver.js';
import { registerRelease } from './commands/release.driver.js';
import { registerRun } from './commands/run.driver.js';
import { registerSample } from './commands/sample.driver.js';
import { registerSimulate } from './commands/simulate.driver.js';
import { registerSite } from './commands/site.driver.js';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const program = new Command('graft')
  .description('Federated and continual transfer learning: drive a coordinator.')
  .version(version)
  .option('--json', 'print one JSON envelope, or one object a line where a command answers in a stream')
  .option('-q, --quiet', 'print ids only')
  .option('--dir <path>', 'directory of the coordinator (GRAFT_DIR, else ~/.graft)')
  .option('--api <url>', 'address of the admin API (GRAFT_API, else from the directory)')
  .option('--key <key>', 'API key (GRAFT_API_KEY, else from the directory)')
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    'after',
    '\nExit codes: 0 ok, 1 failed, 2 cannot connect or not allowed, 3 time-out, 4 bad arguments or preflight, 5 our bug, 130 interrupted.' +
      '\n\nFirst steps:\n  graft demo                 four banks learn to read handwritten digits, on this machine\n  graft init --dir hub       prepare a coordinator; then graft up --dir hub',
  );

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

registerDemo(program);
registerCoordinator(program);
registerLibrary(program);
registerRun(program);
registerSite(program);
registerRelease(program);
registerSample(program);
registerSimulate(program);
registerBackup(program);
registerDoctor(program);

/** Bad arguments end with 4, as everywhere; help and version with 0. */
function exitOnUsageErrors(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) exitOnUsageErrors(child);
}
exitOnUsageErrors(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 4;
  else {
    terminal.err(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 4;
  }
}
