/** For specs: the cases of Einsum whose gradients are compared, and its float64 reference. */
import { at, make, none, pick, size, sum, type References } from '../array64.contract.js';
import type { GradientCase } from '../central-differences.contract.js';
import { stringOf } from '../site.js';

const einsum = (equation: string, ...shapes: readonly (readonly number[])[]): GradientCase => ({
  op: 'Einsum',
  shapes,
  attributes: { equation },
  ...(shapes.length === 1 && { linear: true }),
});

export const einsumCases: readonly GradientCase[] = [
  einsum('ij,jk->ik', [2, 3], [3, 4]),
  einsum('ij,jk', [2, 3], [3, 4]),
  einsum('bij, bjk -> bik', [2, 3, 4], [2, 4, 2]),
  einsum('bhid,bhjd->bhij', [2, 2, 3, 4], [2, 2, 5, 4]),
  einsum('i,j->ij', [3], [4]),
  einsum('i,i->', [4], [4]),
  einsum('ij->ji', [2, 3]),
  einsum('ij->i', [2, 3]),
  einsum('ij->', [2, 3]),
  einsum('ii->i', [3, 3]),
  einsum('ii->', [3, 3]),
  einsum('bij,j->bi', [2, 3, 4], [4]),
  einsum('ij,kl->ik', [2, 3], [4, 2]),
  einsum('ij,jk,kl->il', [2, 3], [3, 2], [2, 4]),
  einsum('...ij,...jk->...ik', [2, 3, 4], [2, 4, 2]),
  einsum('...ij,jk->...ik', [2, 2, 3, 4], [4, 2]),
  einsum('...i->...', [2, 3, 4]),
  einsum('...,...', [2, 3], [2, 3]),
  { ...einsum('bij,jk->bik', [2, 3, 4], [4, 2]), symbols: { 0: ['batch', 'length', 4] } },
];

/** Sums over all values of all labels, as the equation reads; the axes under an ellipsis are digits from the right. */
export const einsumReferences: References = {
  Einsum: (node, inputs) => {
    const arrays = inputs.map((input) => input ?? none);
    const [left = '', right] = stringOf(node, 'equation', '').replaceAll(' ', '').split('->');
    const spelled = left.split(',').map((term, i) => {
      const covered = (arrays[i]?.shape.length ?? 0) - term.replace('...', '').length;
      return term.replace('...', [...Array(covered).keys()].reverse().join('')).split('');
    });
    const labels = [...new Set(spelled.flat())];
    const digits = labels.filter((label) => /\d/.test(label)).sort();
    const once = labels.filter((label) => !/\d/.test(label) && left.split(label).length === 2).sort();
    const written =
      right === undefined
        ? [...digits.toReversed(), ...once]
        : right.replace('...', digits.toReversed().join('')).split('');
    const sizeOf = (label: string): number =>
      Math.max(...spelled.map((term, i) => arrays[i]?.shape[term.indexOf(label)] ?? 1));
    const summed = labels.filter((label) => !written.includes(label));
    return make(written.map(sizeOf), (place) =>
      sum(
        Array.from({ length: size(summed.map(sizeOf)) }, (_, i) => {
          const inner = at(i, summed.map(sizeOf));
          const indexOf = (label: string): number => place[written.indexOf(label)] ?? inner[summed.indexOf(label)] ?? 0;
          return spelled.reduce((product, term, k) => product * pick(arrays[k] ?? none, term.map(indexOf)), 1);
        }),
      ),
    );
  },
};
