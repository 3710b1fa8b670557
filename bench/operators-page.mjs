/**
 * `npm run docs:operators [-- --check]`: writes docs/operators.md from the operator table, or fails where the page differs from it.
 * Needs a build.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { operatorTable } from '@graft/models/operators/operator-table';
import { operatorsPage } from '@graft/models/operators/operators-page';

const file = fileURLToPath(new URL('../docs/operators.md', import.meta.url));
const page = operatorsPage(operatorTable);
if (!process.argv.includes('--check')) writeFileSync(file, page);
else if (readFileSync(file, 'utf8') !== page) {
  console.error('docs/operators.md is not what the operator table says; write it with: npm run docs:operators');
  process.exitCode = 1;
}
