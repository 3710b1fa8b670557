/** The comparison itself: it must find what is wrong. */
import { describe, expect, it } from '@jest/globals';

import { nary, unary } from './array64.contract.js';
import { compareOnce, type GradientCase } from './central-differences.contract.js';

describe('the comparison with central differences', () => {
  it('finds nothing wrong with a right gradient', async () => {
    expect(await compareOnce({ op: 'Exp', shapes: [[2, 3]] }, unary(Math.exp))).toEqual([]);
  });

  it('finds a derivative that is wrong by a hundredth where the numbers are right', async () => {
    const ripple = unary((x) => x + 1e-7 * Math.sin(1e5 * x));
    expect(await compareOnce({ op: 'Identity', shapes: [[2, 3]] }, ripple)).toEqual([
      expect.stringMatching(/^gradient 0 is .*, expected/),
    ]);
  });

  it('finds another forward', async () => {
    expect(await compareOnce({ op: 'Sin', shapes: [[4]] }, unary(Math.cos))).toContainEqual(
      expect.stringContaining('y0 differs from the reference'),
    );
  });

  it('finds a gradient that is not there', async () => {
    expect(
      await compareOnce(
        { op: 'Floor', shapes: [[4]] },
        unary((x) => x),
      ),
    ).toContainEqual(expect.stringContaining('gradient 0 is [0,0,0,0]'));
  });

  it('finds what is called linear and is not', async () => {
    const product: GradientCase = { op: 'Mul', shapes: [[3], [3]], linear: true };
    expect(
      await compareOnce(
        product,
        nary((a, b) => a * b),
      ),
    ).toEqual([expect.stringContaining("<x, A' y>")]);
  });
});
