/** What happened, as a hash of all and the last lines: two runs of one input have the same. */
import { createHash } from 'node:crypto';

export interface Trace {
  add(line: string): void;
  hash(): string;
  last(): readonly string[];
}

const kept = 40;

export function createTrace(): Trace {
  const hash = createHash('sha256');
  let digest: string | undefined;
  const lines: string[] = [];
  return {
    add: (line) => {
      if (digest !== undefined) return;
      hash.update(`${line}\n`);
      lines.push(line);
      if (lines.length > 2 * kept) lines.splice(0, kept);
    },
    hash: () => (digest ??= hash.digest('hex')),
    last: () => lines.slice(-kept),
  };
}
