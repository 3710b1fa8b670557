/** Values of a coarse grid on the fine grid that a stride took them from, zeros between: the inverse of taking every s-th pixel. */
import type { GraphBuilder } from '../graph-builder.js';
import { pad } from '../indexing.js';
import type { FixedAxis } from '../window.js';

/** [N, channels, ...output] to [N, channels, ...input], without padding or kernel: reshapes and one Pad an axis set. */
export function spread(
  value: string,
  { axes, channels }: { axes: readonly Pick<FixedAxis, 'input' | 'output' | 'stride'>[]; channels: number },
  build: GraphBuilder,
): string {
  const strided = axes.some(({ stride }) => stride !== 1);
  const cells = strided ? cellsOf(value, { axes, channels }, build) : value;
  const grown = axes.map(({ output, stride }) => output * stride);
  return fit(
    cells,
    axes.map(({ input }, i) => input - (grown[i] ?? 0)),
    build,
  );
}

/** Each value in the first corner of a cell of its own. */
function cellsOf(
  value: string,
  { axes, channels }: { axes: readonly Pick<FixedAxis, 'output' | 'stride'>[]; channels: number },
  build: GraphBuilder,
): string {
  const split = build.add('Reshape', [value, build.ints([-1, channels, ...axes.flatMap(({ output }) => [output, 1])])]);
  const within = axes.map((_, i) => 2 * i + 3);
  const zeros = axes.map(({ stride }) => stride - 1);
  const cells = pad(split, [...zeros.map(() => 0), ...zeros], { axes: within, build });
  return build.add('Reshape', [
    cells,
    build.ints([-1, channels, ...axes.map(({ output, stride }) => output * stride)]),
  ]);
}

/** Zeros after the end where pixels are missing, and fewer of the last cell's where there are too many. */
function fit(value: string, missing: readonly number[], build: GraphBuilder): string {
  return pad(value, [...missing.map(() => 0), ...missing], { axes: missing.map((_, i) => i + 2), build });
}
