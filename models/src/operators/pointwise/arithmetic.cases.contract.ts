/** For specs: the cases of arithmetic that broadcasts whose gradients are compared, and their float64 references. */
import { mean, nary, sum, type References } from '../array64.contract.js';
import { constant, positive, type GradientCase } from '../central-differences.contract.js';

const powers = [0, 0.5, 1, 2, 3, -1.5];

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
    {
      op,
      shapes: [
        [2, 3],
        [2, 3],
      ],
      symbols: { 0: ['batch', 3], 1: ['batch', 3] },
    },
    {
      op,
      shapes: [
        [2, 1, 3],
        [4, 1],
      ],
      symbols: { 0: ['batch', 'rows', 3], 1: ['columns', 'rest'] },
    },
  ]),
  { op: 'Add', shapes: [[2, 3], []], symbols: { 0: ['batch', 'features'] }, linear: true },
  {
    op: 'Div',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    range: positive,
  },
  { op: 'Pow', shapes: [[2, 3], [3]], range: positive },
  ...powers.map((power): GradientCase => ({
    op: 'Pow',
    shapes: [[2, 3]],
    constants: { 1: constant('float32', [], [power]) },
    range: positive,
    note: `${power}`,
  })),
  { op: 'Pow', shapes: [[2, 3]], constants: { 1: constant('int64', [3], [2, 3, 4]) }, note: 'by whole exponents' },
  {
    op: 'Pow',
    shapes: [[2, 3], [1]],
    whole: true,
    range: [0, 3],
    ranges: { 1: [2, 3] },
    frozen: [0],
    note: 'of zeros',
  },
  { op: 'Mod', shapes: [[2, 4], [4]], attributes: { fmod: 1 }, range: [1.1, 1.9], ranges: { 0: [-8, 8] } },
  { op: 'Max', shapes: [[2, 3], [3], [2, 1]] },
  { op: 'Min', shapes: [[2, 3]] },
  { op: 'Sum', shapes: [[2, 3], [3], [2, 1]], linear: true },
  { op: 'Mean', shapes: [[2, 3], [3], [2, 1]], linear: true },
  { op: 'Where', shapes: [[], [2, 3], [3]], constants: { 0: constant('bool', [2, 1], [1, 0]) }, linear: true },
];

export const arithmeticReferences: References = {
  Add: nary((a, b) => a + b),
  Sub: nary((a, b) => a - b),
  Mul: nary((a, b) => a * b),
  Div: nary((a, b) => a / b),
  Pow: nary((a, b) => a ** b),
  Mod: nary((a, b) => a % b),
  Max: nary(Math.max),
  Min: nary(Math.min),
  Sum: nary((...values) => sum(values)),
  Mean: nary((...values) => mean(values)),
  Where: nary((condition, a, b) => (condition === 0 ? b : a)),
};
