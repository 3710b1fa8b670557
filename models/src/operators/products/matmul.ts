/** Matrix products: https://onnx.ai/onnx/operators/onnx__MatMul.html, onnx__Gemm.html */
import type { Dimension } from '../../graph/graph.js';
import { broadcast, reshapeLike, unbroadcast } from '../broadcast.js';
import type { GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { floatOf, inputOf, intOf, malformed, shapeOf } from '../site.js';
import { turnedProduct } from './turned-product.js';

function inferMatMul(site: Site): Known[] {
  const [a, b] = [shapeOf(site, 0), shapeOf(site, 1)];
  if (a.length === 0 || b.length === 0) throw malformed(site.node, 'multiplies a scalar as a matrix');
  const rows = a.length === 1 ? [1, ...a] : a;
  const columns = b.length === 1 ? [...b, 1] : b;
  checkInner(site, rows.at(-1), columns.at(-2));
  const batch = broadcast(site, [rows.slice(0, -2), columns.slice(0, -2)]);
  const shape = [...batch, ...(a.length === 1 ? [] : rows.slice(-2, -1)), ...(b.length === 1 ? [] : columns.slice(-1))];
  return [{ dtype: inputOf(site, 0).dtype, shape }];
}

function checkInner(site: Site, a: Dimension | undefined, b: Dimension | undefined): void {
  if (typeof a === 'number' && typeof b === 'number' && a !== b) {
    throw malformed(site.node, `multiplies ${a} columns with ${b} rows`);
  }
}

/** dA = dY B^T, dB = A^T dY; a vector is a matrix of one row or column meanwhile. */
function matMulGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const [dy] = site.outputGradients;
  const [a = '', b = ''] = site.node.inputs;
  if (dy === undefined) return [];
  const vectors = [shapeOf(site, 0).length === 1, shapeOf(site, 1).length === 1];
  const matrix = (value: string, axis: number | undefined): string =>
    axis === undefined ? value : build.add('Unsqueeze', [value, build.ints([axis])]);
  const left = matrix(a, vectors[0] ? 0 : undefined);
  const right = matrix(b, vectors[1] ? 1 : undefined);
  const row = matrix(dy, vectors[1] ? -1 : undefined);
  const gradient = matrix(row, vectors[0] ? -2 : undefined);
  const vector = (value: string, like: string, is: boolean | undefined): string =>
    is === true ? reshapeLike(value, like, build) : value;
  return [
    site.wants(0) ? vector(byLeft({ left, right, gradient }, build), a, vectors[0]) : undefined,
    site.wants(1) ? vector(byRight({ left, right, gradient }, build), b, vectors[1]) : undefined,
  ];
}

interface Product {
  readonly left: string;
  readonly right: string;
  readonly gradient: string;
}

function byLeft({ left, right, gradient }: Product, build: GraphBuilder): string {
  return unbroadcast(turnedProduct({ a: gradient, b: right, turnB: true }, build), left, build);
}

/** Matrices of a batch that shares B are stacked, so that B's gradient is one product. */
function byRight({ left, right, gradient }: Product, build: GraphBuilder): string {
  const [rankLeft, rankRight] = [left, right].map((value) => build.shapeOf(value).length);
  const fixed = [left, gradient].every((value) => typeof build.shapeOf(value).at(-1) === 'number');
  if (rankRight === 2 && rankLeft !== 2 && fixed) {
    return build.add('Gemm', [rowsOf(left, build), rowsOf(gradient, build)], { transA: 1 });
  }
  return unbroadcast(turnedProduct({ a: left, b: gradient, turnA: true }, build), right, build);
}

/** All leading axes as one. */
function rowsOf(value: string, build: GraphBuilder): string {
  const last = build.shapeOf(value).at(-1);
  return build.add('Reshape', [value, build.ints([-1, Number(last)])]);
}

function gemmOf({ node }: Site): { alpha: number; beta: number; transA: number; transB: number } {
  return {
    alpha: floatOf(node, 'alpha', 1),
    beta: floatOf(node, 'beta', 1),
    transA: intOf(node, 'transA', 0),
    transB: intOf(node, 'transB', 0),
  };
}

function inferGemm(site: Site): Known[] {
  const { transA, transB } = gemmOf(site);
  const [a, b] = [shapeOf(site, 0), shapeOf(site, 1)];
  if (a.length !== 2 || b.length !== 2)
    throw malformed(site.node, `multiplies tensors of rank ${a.length} and ${b.length}`);
  checkInner(site, a[transA === 1 ? 0 : 1], b[transB === 1 ? 1 : 0]);
  return [{ dtype: inputOf(site, 0).dtype, shape: [a[transA] ?? 1, b[1 - transB] ?? 1] }];
}

/** Y = alpha A' B' + beta C, where ' may transpose. */
function gemmGradient(site: GradientSite, build: GraphBuilder): (string | undefined)[] {
  const { alpha, beta, transA, transB } = gemmOf(site);
  const [a = '', b = '', c = ''] = site.node.inputs;
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const product = (left: string, right: string, flags: { transA: number; transB: number }): string =>
    build.add('Gemm', [left, right], { alpha: { float: alpha }, ...flags });
  const byA = (): string =>
    transA === 0 ? product(dy, b, { transA: 0, transB: 1 - transB }) : product(b, dy, { transA: transB, transB: 1 });
  const byB = (): string =>
    transB === 0 ? product(a, dy, { transA: 1 - transA, transB: 0 }) : product(dy, a, { transA: 1, transB: transA });
  const byC = (): string => {
    const sum = unbroadcast(dy, c, build);
    const shaped = build.shapeOf(sum).length === build.shapeOf(c).length ? sum : reshapeLike(sum, c, build);
    return beta === 1 ? shaped : build.add('Mul', [shaped, build.scalar(beta, dy)]);
  };
  return [
    site.wants(0) ? byA() : undefined,
    site.wants(1) ? byB() : undefined,
    c !== '' && site.wants(2) ? byC() : undefined,
  ];
}

/** Two operations for each product of an output with the shared axis. */
const flops =
  (shared: (site: Site) => Dimension | undefined) =>
  (site: Site, [y]: readonly Known[]): number =>
    2 * sizeOf(y) * Number(shared(site) ?? 1);

export const matmulOperators: OperatorRows = {
  MatMul: operator({ infer: inferMatMul, gradient: matMulGradient, flops: flops((site) => shapeOf(site, 0).at(-1)) }),
  Gemm: operator({
    infer: inferGemm,
    gradient: gemmGradient,
    flops: flops((site) => shapeOf(site, 0)[1 - gemmOf(site).transA]),
  }),
};
