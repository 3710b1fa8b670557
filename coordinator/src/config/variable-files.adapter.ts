/** GRAFT_X_FILE stands for GRAFT_X with the content of a file, as orchestrators mount secrets. */
import { readFileSync } from 'node:fs';

import { GraftError } from '@graft/core/error';

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws INVALID_REQUEST where a file cannot be read, or where a variable is given both ways. */
export function withVariableFiles(environment: Environment): Environment {
  const read: Record<string, string> = {};
  for (const [variable, file] of Object.entries(environment)) {
    const [, name] = /^(GRAFT_\w+)_FILE$/u.exec(variable) ?? [];
    if (name === undefined || file === undefined || file === '') continue;
    if ((environment[name] ?? '') !== '')
      throw new GraftError('INVALID_REQUEST', `${name} and ${variable} are both set; keep one of them`);
    try {
      read[name] = readFileSync(file, 'utf8').trim();
    } catch (cause) {
      throw new GraftError('INVALID_REQUEST', `${variable}: cannot read ${file}`, { cause });
    }
  }
  return { ...environment, ...read };
}
