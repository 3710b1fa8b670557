/** For specs: the cases of arithmetic that broadcasts whose gradients are compared, and their float64 references. */
import { nary, sum, type References } from './array64.contract.js';
import { constant, positive, type GradientCase } from './central-differences.contract.js';

export const arithmeticCases: readonly GradientCase[] = [
  ...['Add', 'Sub', 'Mul', 'Max', 'Min'].flatMap((op): GradientCase[] => [
    {
      op,
      shapes: [
        [2, 3, 4],
        [3, 1],
      ],
      linear: op === 'Add' || op === 'Sub',
    },
    {
      op,
      shapes: [
        [1, 4],
        [2, 3, 1],
      ],
    },
  ]),
  {
    op: 'Div',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    range: positive,
  },
  { op: 'Pow', shapes: [[2, 3], [3]], range: positive },
  { op: 'Pow', shapes: [[2, 3]], constants: { 1: constant('float32', [], [2]) } },
  { op: 'Sum', shapes: [[2, 3], [3], [2, 1]], linear: true },
  { op: 'Where', shapes: [[], [2, 3], [3]], constants: { 0: constant('bool', [2, 1], [1, 0]) }, linear: true },
];

export const arithmeticReferences: References = {
  Add: nary((a, b) => a + b),
  Sub: nary((a, b) => a - b),
  Mul: nary((a, b) => a * b),
  Div: nary((a, b) => a / b),
  Pow: nary((a, b) => a ** b),
  Max: nary(Math.max),
  Min: nary(Math.min),
  Sum: nary((...values) => sum(values)),
  Where: nary((condition, a, b) => (condition === 0 ? b : a)),
};
