/** The equation of an Einsum, its labels written out: https://onnx.ai/onnx/operators/onnx__Einsum.html */
import type { Dimension } from '../../graph/graph.js';
import type { Site } from '../operator.js';
import { malformed, shapeOf, stringOf } from '../site.js';

/** Labels of the axes of each operand and of the result; axes under an ellipsis have labels of their own. */
export interface Equation {
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
  readonly sizes: ReadonlyMap<string, Dimension>;
}

const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'.split('');

/** Throws MODEL_MALFORMED where the equation does not fit the operands. */
export function equationOf(site: Site): Equation {
  const text = stringOf(site.node, 'equation', '').replaceAll(' ', '');
  const [left = '', right] = text.split('->');
  const terms = left.split(',');
  if (!/^[A-Za-z.,]*(->[A-Za-z.]*)?$/.test(text) || terms.length !== site.node.inputs.length) {
    throw malformed(site.node, `has the equation '${text}' over ${site.node.inputs.length} operands`);
  }
  const spare = letters.filter((letter) => !text.includes(letter));
  const operands = terms.map((term, i) => labelsOf(site, term, { rank: shapeOf(site, i).length, spare }));
  const covered = terms.map((term, i) => (term.includes('...') ? shapeOf(site, i).length - term.length + 3 : 0));
  const ellipsis = spare.slice(0, Math.max(0, ...covered)).reverse();
  const result = right === undefined ? implicit(left, ellipsis) : written(right, ellipsis);
  const sizes = sizesOf(site, operands);
  for (const label of result) {
    if (!sizes.has(label)) throw malformed(site.node, `has the result label '${label}', which no operand has`);
  }
  return { operands, result, sizes };
}

/** The axes of an ellipsis are counted from the right. */
function labelsOf(site: Site, term: string, { rank, spare }: { rank: number; spare: readonly string[] }): string[] {
  const named = term.replace('...', '').length;
  const covered = rank - named;
  if (/[.]/.test(term.replace('...', '')) || covered < 0 || (covered > 0 && !term.includes('...')))
    throw malformed(site.node, `labels an operand of rank ${rank} as '${term}'`);
  return written(term, spare.slice(0, covered).reverse());
}

function written(term: string, ellipsis: readonly string[]): string[] {
  const [before = '', behind = ''] = term.split('...');
  return term.includes('...') ? [...before.split(''), ...ellipsis, ...behind.split('')] : before.split('');
}

/** Without a result the axes under the ellipsis, then all labels that stand once, in the order of the alphabet. */
function implicit(left: string, ellipsis: readonly string[]): string[] {
  const once = letters.filter((letter) => left.split(letter).length === 2);
  return [...ellipsis, ...once.sort()];
}

function sizesOf(site: Site, operands: readonly (readonly string[])[]): Map<string, Dimension> {
  const sizes = new Map<string, Dimension>();
  for (const [i, labels] of operands.entries()) {
    for (const [axis, label] of labels.entries()) {
      const [size = 1, known] = [shapeOf(site, i)[axis], sizes.get(label)];
      if (typeof size === 'number' && typeof known === 'number' && size !== known && size !== 1 && known !== 1) {
        throw malformed(site.node, `has sizes ${known} and ${size} under label '${label}'`);
      }
      if (known === undefined || known === 1 || (typeof known === 'string' && size !== 1)) sizes.set(label, size);
    }
  }
  return sizes;
}
