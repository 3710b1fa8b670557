/** What happened, as a hash of all and the last lines: two runs of one input have the same. */
import { createHash } from 'node:crypto';

export interface Trace {
  add(atMs: number, label: string): void;
  hash(): string;
  last(): readonly string[];
}

const kept = 40;

export function createTrace(): Trace {
  const hash = createHash('sha256');
  let digest: string | undefined;
  const lines: string[] = [];
  return {
    add: (atMs, label) => {
      if (digest !== undefined) return;
      const line = `${atMs} ${label}\n`;
      hash.update(line);
      lines.push(line.trimEnd());
      if (lines.length > 2 * kept) lines.splice(0, kept);
    },
    hash: () => (digest ??= hash.digest('hex')),
    last: () => lines.slice(-kept),
  };
}
