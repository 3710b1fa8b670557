/**
 * What graft-agent prints: data on stdout, progress on stderr; with --json exactly one envelope on stdout:
 * `{"ok":true,"data":...}` or `{"ok":false,"code":...,"number":...,"message":...,"fix":...}`.
 */
import { GraftError } from '@graft/core/error';

export interface Terminal {
  /** One line on stdout. */
  out(line: string): void;
  /** One line on stderr. */
  err(line: string): void;
}

export interface Output {
  readonly json: boolean;
  /** The answer of a command: `data` for programs, `lines` for people. */
  result(data: unknown, lines: readonly string[]): void;
  /** One thing that happened, for commands that go on: an object a line with --json, else the line on stderr. */
  event(data: object, line: string): void;
  /** Progress for people; nothing with --json. */
  progress(line: string): void;
}

export function createOutput(terminal: Terminal, json: boolean): Output {
  return {
    json,
    result: (data, lines) => {
      if (json) terminal.out(JSON.stringify({ ok: true, data }));
      else for (const line of lines) terminal.out(line);
    },
    event: (data, line) => {
      if (json) terminal.out(JSON.stringify(data));
      else terminal.err(line);
    },
    progress: (line) => {
      if (!json) terminal.err(line);
    },
  };
}

export interface DescribedError {
  readonly envelope: object;
  readonly lines: readonly string[];
  readonly exit: number;
}

/** Causes that are shown below an error: the first ones say what happened, the rest is plumbing. */
const shownCauses = 4;

/** How an error is shown, and the exit code that it gives. What is no GraftError is a bug of ours. */
export function describeError(error: unknown): DescribedError {
  const known = error instanceof GraftError ? error : new GraftError('INTERNAL', messageOf(error), { cause: error });
  const { number, title, fix, exit } = known.row;
  const causes: string[] = [];
  for (let cause = known.cause; cause !== undefined && causes.length < shownCauses; cause = causeOf(cause)) {
    const message = messageOf(cause);
    if (message !== known.message && message !== causes.at(-1)) causes.push(message);
  }
  return {
    envelope: { ok: false, code: known.code, number, message: known.message, fix, details: known.details, causes },
    lines: [
      `error: ${known.message}  [${number} ${title}]`,
      ...causes.map((cause) => `  cause: ${cause}`),
      `  fix:   ${fix}`,
    ],
    exit,
  };
}

/** The message of whatever was thrown, on one line. */
export function messageOf(error: unknown): string {
  const message =
    typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string'
      ? error.message
      : String(error);
  return message.split('\n', 1)[0] ?? message;
}

function causeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'cause' in error ? error.cause : undefined;
}
