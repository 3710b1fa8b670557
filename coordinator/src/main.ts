/** The coordinator's process: reads its configuration, starts, says where it is, and ends when it is told to. */
import { GraftError } from '@graft/core/error';

import { readConfig, type Config } from './config/config.js';
import { withVariableFiles } from './config/variable-files.adapter.js';
import { startCoordinator, type Coordinator } from './server/coordinator.driver.js';
import { createLogger } from './server/logger.adapter.js';

/** Our bug, as in the table of exit codes. */
const bugExit = 5;

function refuse(error: unknown): never {
  const known =
    error instanceof GraftError
      ? error
      : new GraftError('INTERNAL', error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.stderr.write(`${known.row.number} ${known.message}\nFix: ${known.row.fix}\n`);
  process.exit(known.row.exit);
}

function configuration(): Config {
  try {
    return readConfig(process.argv.slice(2), withVariableFiles(process.env));
  } catch (error) {
    return refuse(error);
  }
}

const config = configuration();
const log = createLogger(config);

let stopping = false;

process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'uncaught exception');
  process.exit(bugExit);
});
process.on('unhandledRejection', (error) => {
  log.fatal({ err: error }, 'unhandled rejection');
  process.exit(bugExit);
});

let coordinator: Coordinator;
try {
  coordinator = await startCoordinator(config, log);
} catch (error) {
  refuse(error);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(130);
    stopping = true;
    log.info({ signal }, 'stopping; a second signal ends at once');
    coordinator.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal({ err: error }, 'the coordinator did not stop cleanly');
        process.exit(bugExit);
      },
    );
  });
}

process.stdout.write(`${JSON.stringify(coordinator.ready)}\n`);
