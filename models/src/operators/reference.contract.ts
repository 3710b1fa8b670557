/** For specs: the float64 forward of the operators that training may write in another form. */
import type { Run } from './array64.contract.js';
import { convReferences } from './conv.cases.contract.js';
import { poolReferences } from './pool.cases.contract.js';

export type { Array64 } from './array64.contract.js';

export const reference: Readonly<Record<string, Run>> = { ...convReferences, ...poolReferences };
