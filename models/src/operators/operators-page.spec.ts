import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { operatorTable } from './operator-table.js';
import { operator } from './operator.js';
import { operatorsPage } from './operators-page.js';

const row = { infer: () => [], gradient: () => [] };

describe('the page of operators', () => {
  it('is what the table says; npm run docs:operators writes it', () => {
    const file = fileURLToPath(new URL('../../../docs/operators.md', import.meta.url));
    expect(readFileSync(file, 'utf8')).toBe(operatorsPage(operatorTable));
  });

  it('tells gradients and runtimes apart, in the order of names', () => {
    const page = operatorsPage({
      Shape: operator({ ...row, gradient: 'not differentiable' }),
      Add: { ...operator(row), runtimes: ['onnxruntime', 'tfjs'] },
      Det: operator({ ...row, gradient: 'not yet' }),
    });
    expect(page.split('\n').slice(-4)).toEqual([
      '| Add | yes | yes | yes |',
      '| Det | not yet | yes | - |',
      '| Shape | none | yes | - |',
      '',
    ]);
    expect(page).toContain('3 operators: 1 with a gradient, 1 whose gradient is not written yet');
  });
});
