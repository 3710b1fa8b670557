/** The operator table as a page for people: docs/operators.md. */
import type { Operator, OperatorRows, RuntimeName } from './operator.js';

const runtimes: readonly RuntimeName[] = ['onnxruntime', 'tfjs'];

/** What the page says of a gradient. */
function gradientOf({ gradient }: Operator): 'yes' | 'not yet' | 'none' {
  if (gradient === 'not yet') return 'not yet';
  return gradient === 'not differentiable' ? 'none' : 'yes';
}

/** Markdown; every row of the table is one line, in the order of names. */
export function operatorsPage(rows: OperatorRows): string {
  const operators = Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const count = (isMeant: (row: Operator) => boolean): number => operators.filter(([, row]) => isMeant(row)).length;
  const withGradient = (runtime: RuntimeName) => (row: Operator) =>
    gradientOf(row) === 'yes' && row.runtimes.includes(runtime);
  const lines = operators.map(([name, row]) => {
    const cells = runtimes.map((runtime) => (row.runtimes.includes(runtime) ? 'yes' : '-'));
    return `| ${[name, gradientOf(row), ...cells].join(' | ')} |`;
  });
  return `# Operators

Written by \`npm run docs:operators\` from \`models/src/operators/operator-table.ts\`; a test fails where they differ.

${operators.length} operators: ${count((row) => gradientOf(row) === 'yes')} with a gradient, ${count((row) => gradientOf(row) === 'not yet')} whose gradient is not written yet (GRADIENT_MISSING names the node), ${count((row) => gradientOf(row) === 'none')} that have none (whole numbers, truth values, shapes). ${runtimes
    .map((runtime) => `${runtime} has ${count(withGradient(runtime))} of those with a gradient`)
    .join(
      ', ',
    )}. Names are those of opset 21, to which files of other opsets are converted. Operators of another domain have it before their name.

| operator | gradient | ${runtimes.join(' | ')} |
|---|---|---|---|
${lines.join('\n')}
`;
}
