/** A grid of places that a matrix moves: https://onnx.ai/onnx/operators/onnx__AffineGrid.html */
import { unknownSize } from '../dimension.js';
import { floats, type GraphBuilder } from '../graph-builder.js';
import { operator, sizeOf, type GradientSite, type Known, type OperatorRows, type Site } from '../operator.js';
import { inputOf, intOf, numbersOf, shapeOf } from '../site.js';

/** A place of as many coordinates as the matrix has rows, for each pixel of the image. */
function inferAffineGrid(site: Site): Known[] {
  const [batch = 1, axes = 2] = shapeOf(site, 0);
  const count = typeof axes === 'number' ? axes : 2;
  const unknown = Array.from({ length: count }, (_, i) => unknownSize(site.node.name, `size.${i}`));
  const image = inputOf(site, 1).elements?.slice(2) ?? unknown;
  return [{ dtype: inputOf(site, 0).dtype, shape: [batch, ...image, count] }];
}

/** The places that the matrix moves: [pixels, axes + 1], the last axis of the image first and 1 behind. */
export function placesOf(sizes: readonly number[], corners: boolean): number[][] {
  const along = (size: number): number[] =>
    Array.from({ length: size }, (_, i) => (corners ? (2 * i) / Math.max(1, size - 1) - 1 : (2 * i + 1) / size - 1));
  const places = sizes.reduce<number[][]>(
    (all, size) => all.flatMap((place) => along(size).map((coordinate) => [coordinate, ...place])),
    [[]],
  );
  return places.map((place) => [...place, 1]);
}

/** The grid is linear in the matrix. */
function affineGridGradient(site: GradientSite, build: GraphBuilder): string[] {
  const [dy] = site.outputGradients;
  if (dy === undefined) return [];
  const sizes = (numbersOf(site, 1) ?? []).slice(2);
  const places = placesOf(sizes, intOf(site.node, 'align_corners', 0) === 1);
  const rows = build.add('Reshape', [dy, build.ints([0, -1, sizes.length])]);
  const constant = floats(build.typeOf(dy).dtype, [places.length, sizes.length + 1], places.flat());
  return [build.add('MatMul', [build.add('Transpose', [rows], { perm: [0, 2, 1] }), build.constant(constant)])];
}

export const affineGridOperators: OperatorRows = {
  AffineGrid: operator({
    infer: inferAffineGrid,
    gradient: affineGridGradient,
    flops: ({ inputs: [matrix] }, [grid]) => 2 * sizeOf(grid) * Number(matrix?.shape?.at(-1) ?? 3),
  }),
};
