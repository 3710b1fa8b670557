/**
 * What a command prints: data on stdout, progress on stderr, one envelope with --json.
 * `{"ok":true,"data":...}` or `{"ok":false,"code":...,"number":...,"message":...,"fix":...}`.
 */
import { GraftError } from '@graft/core/error';

export interface Terminal {
  /** One line on stdout. */
  out(line: string): void;
  /** One line on stderr. */
  err(line: string): void;
  /** Redraws the last line of stderr; only where it is a terminal. */
  status?(line: string): void;
  /** Draws lines on stdout in place of those that it drew before; only where stdout is a terminal. */
  screen?(lines: readonly string[]): void;
  /** Cells of a line of stdout; Infinity where it is no terminal. */
  width?(): number;
}

export interface Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Cells of a line; Infinity where nobody looks. */
  readonly width: number;
  /** The answer of a command: `data` for programs, `lines` for people, `ids` for --quiet. */
  result(data: unknown, lines: readonly string[], ids?: readonly string[]): void;
  /** One object a line under --json, else the line. For commands that answer in a stream. */
  event(data: object, line: string): void;
  /** Progress for people; nothing under --json or --quiet. */
  progress(line: string): void;
  /** A line that the next one overwrites; nothing where stderr is not a terminal. */
  status(line: string): void;
  /** Lines in place of those before; where stdout is no terminal they follow each other, and only what is new is printed. */
  screen(lines: readonly string[], isNew: boolean): void;
}

export function createOutput(terminal: Terminal, options: { readonly json: boolean; readonly quiet: boolean }): Output {
  const { json, quiet } = options;
  return {
    json,
    quiet,
    get width() {
      return terminal.width?.() ?? Infinity;
    },
    result: (data, lines, ids) => {
      if (json) terminal.out(JSON.stringify({ ok: true, data }));
      else for (const line of quiet && ids !== undefined ? ids : lines) terminal.out(line);
    },
    event: (data, line) => terminal.out(json ? JSON.stringify(data) : line),
    progress: (line) => {
      if (!json && !quiet) terminal.err(line);
    },
    status: (line) => {
      if (!json && !quiet) terminal.status?.(line);
    },
    screen: (lines, isNew) => {
      if (terminal.screen !== undefined) terminal.screen(lines);
      else if (isNew) for (const line of ['', ...lines]) terminal.out(line);
    },
  };
}

/** How an error is shown, and the exit code it gives. */
export function describeError(error: unknown): {
  readonly envelope: object;
  readonly lines: string[];
  readonly exit: number;
} {
  const known =
    error instanceof GraftError
      ? error
      : new GraftError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
  const { number, title, fix, exit } = known.row;
  const causes: string[] = [];
  for (let cause = known.cause; cause instanceof Error && causes.length < 5; cause = cause.cause) {
    if (cause.message !== known.message) causes.push(cause.message);
  }
  return {
    envelope: { ok: false, code: known.code, number, message: known.message, fix, details: known.details },
    lines: [
      `error: ${known.message}  [${number} ${title}]`,
      ...causes.map((cause) => `  cause: ${cause}`),
      `  fix:   ${fix}`,
    ],
    exit,
  };
}
