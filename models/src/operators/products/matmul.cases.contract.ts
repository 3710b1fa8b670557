/** For specs: the cases of matrix products whose gradients are compared, and their float64 references. */
import {
  broadcastShape,
  make,
  none,
  pick,
  sum,
  transpose,
  type Array64,
  type References,
} from '../array64.contract.js';
import { type GradientCase } from '../central-differences.contract.js';
import { floatOf, intOf } from '../site.js';

export const matmulCases: readonly GradientCase[] = [
  {
    op: 'MatMul',
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [2, 2, 3, 4],
      [2, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [3, 4],
      [4, 2],
    ],
  },
  { op: 'MatMul', shapes: [[4], [4]], note: 'of two vectors' },
  { op: 'MatMul', shapes: [[4], [4, 3]], note: 'of a row' },
  { op: 'MatMul', shapes: [[3, 4], [4]], note: 'of a column' },
  { op: 'MatMul', shapes: [[2, 3, 4], [4]], note: 'of a column with a batch' },
  { op: 'MatMul', shapes: [[4], [2, 4, 3]], note: 'of a row with a batch' },
  {
    op: 'MatMul',
    shapes: [
      [3, 4],
      [2, 4, 5],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [2, 1, 3, 4],
      [5, 4, 2],
    ],
  },
  {
    op: 'MatMul',
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    symbols: { 0: ['batch', 'length', 4] },
  },
  {
    op: 'MatMul',
    shapes: [
      [2, 2, 3, 4],
      [2, 2, 4, 3],
    ],
    symbols: { 0: ['batch', 2, 'length', 4], 1: ['batch', 2, 4, 'length'] },
    note: 'of attention',
  },
  ...[[5], [3, 1], [1, 5], [3, 5], [], [1]].map((bias) => ({
    op: 'Gemm',
    shapes: [[3, 4], [4, 5], bias],
    attributes: { beta: { float: 0.5 } },
  })),
  {
    op: 'Gemm',
    shapes: [
      [3, 4],
      [4, 5],
    ],
    attributes: { alpha: { float: 3 } },
  },
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) => ({
      op: 'Gemm',
      shapes: [transA === 1 ? [4, 3] : [3, 4], transB === 1 ? [5, 4] : [4, 5], [5]],
      attributes: { transA, transB, alpha: { float: 0.5 }, beta: { float: 2 } },
    })),
  ),
];

function matMul(a: Array64, b: Array64): Array64 {
  if (a.shape.length === 1) {
    const { shape, data } = matMul({ ...a, shape: [1, ...a.shape] }, b);
    return { shape: b.shape.length === 1 ? shape.slice(0, -1) : shape.toSpliced(-2, 1), data };
  }
  if (b.shape.length === 1) {
    const { shape, data } = matMul(a, { ...b, shape: [...b.shape, 1] });
    return { shape: shape.slice(0, -1), data };
  }
  const shared = a.shape.at(-1) ?? 1;
  const batch = broadcastShape([
    { ...a, shape: a.shape.slice(0, -2) },
    { ...b, shape: b.shape.slice(0, -2) },
    { shape: [1], data: [] },
  ]);
  const lead = a.shape.length === 2 && b.shape.length === 2 ? [] : batch;
  return make([...lead, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1], (place) => {
    const [row = 0, column = 0] = place.slice(-2);
    const outer = place.slice(0, -2);
    return sum(Array.from({ length: shared }, (_, k) => pick(a, [...outer, row, k]) * pick(b, [...outer, k, column])));
  });
}

export const matmulReferences: References = {
  MatMul: (_, [a = none, b = none]) => matMul(a, b),
  Gemm: (node, [a = none, b = none, c]) => {
    const flipped = (value: Array64, flag: string): Array64 =>
      intOf(node, flag, 0) === 1 ? transpose(value, [1, 0]) : value;
    const product = matMul(flipped(a, 'transA'), flipped(b, 'transB'));
    return make(product.shape, (place) => {
      const added = c === undefined ? 0 : pick(c, place) * floatOf(node, 'beta', 1);
      return pick(product, place) * floatOf(node, 'alpha', 1) + added;
    });
  },
};
