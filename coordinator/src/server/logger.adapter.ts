/** The process log: pino on stderr, as JSON lines or as lines for people; and the same for Nest. */
import type { LoggerService } from '@nestjs/common';
import { destination, pino, type Logger } from 'pino';

import { prettyLine, withoutSecrets } from './log-line.js';

export interface LoggerOptions {
  /** Lines below it are not written. */
  readonly logLevel: string;
  readonly logFormat: 'json' | 'pretty';
}

export function createLogger({ logLevel, logFormat }: LoggerOptions): Logger {
  const write = logFormat === 'json' ? withoutSecrets : (line: string) => prettyLine(withoutSecrets(line));
  const options = {
    level: logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: write },
  };
  return pino(options, destination({ fd: 2, sync: true }));
}

/** Nest's own words; its chatter about routes and modules is for debugging. */
export function nestLogger(log: Logger): LoggerService {
  const context = (rest: readonly unknown[]): object => ({ context: rest.at(-1) });
  return {
    log: (message: unknown, ...rest: unknown[]) => log.debug(context(rest), String(message)),
    debug: (message: unknown, ...rest: unknown[]) => log.trace(context(rest), String(message)),
    verbose: (message: unknown, ...rest: unknown[]) => log.trace(context(rest), String(message)),
    warn: (message: unknown, ...rest: unknown[]) => log.warn(context(rest), String(message)),
    error: (message: unknown, ...rest: unknown[]) => log.error({ ...context(rest), stack: rest[0] }, String(message)),
    fatal: (message: unknown, ...rest: unknown[]) => log.fatal(context(rest), String(message)),
  };
}
