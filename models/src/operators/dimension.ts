/**
 * Sizes as polynomials of symbols with whole coefficients: 24, 'batch', '6*batch', '1+seq', '-1+seq'.
 * What is no polynomial of its parts is a symbol of its own that says how it is made, like 'floor(seq/2)' or 'min(4,seq)',
 * so that equal texts stay equal sizes. Enough to follow the shape arithmetic of exported transformers.
 * Sums are written with '+' alone; names that files give may write 'a - 1' too.
 */
import type { Dimension } from '../graph/graph.js';

/** Coefficients by product of symbols, which is sorted and joined by '*'; '' is the constant. */
type Polynomial = ReadonlyMap<string, number>;

/** Parts of a text between separators that stand in no parentheses. */
function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [];
  let [depth, start] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')') depth--;
    else if (text[i] === separator && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

const isNumber = (text: string): boolean => /^-?\d+$/.test(text);

function collect(terms: Iterable<readonly [string, number]>): Polynomial {
  const result = new Map<string, number>();
  for (const [symbols, factor] of terms) {
    const total = (result.get(symbols) ?? 0) + factor;
    if (total === 0) result.delete(symbols);
    else result.set(symbols, total);
  }
  return result;
}

function parse(dimension: Dimension): Polynomial {
  if (typeof dimension === 'number') return collect([['', dimension]]);
  return collect(
    splitOutside(dimension.replaceAll(' - ', '+-1*'), '+').map((term): [string, number] => {
      const parts = splitOutside(term, '*').map((part) => part.trim());
      const factor = parts.reduce((product, part) => (isNumber(part) ? product * Number(part) : product), 1);
      return [
        parts
          .filter((part) => !isNumber(part))
          .sort()
          .join('*'),
        factor,
      ];
    }),
  );
}

function format(polynomial: Polynomial): Dimension {
  const terms = [...polynomial].sort(([a], [b]) => (a < b ? -1 : 1));
  const [first] = terms;
  if (first === undefined) return 0;
  if (terms.length === 1 && first[0] === '') return first[1];
  return terms
    .map(([symbols, factor]) => (symbols === '' ? String(factor) : factor === 1 ? symbols : `${factor}*${symbols}`))
    .join('+');
}

const factorsOf = (symbols: string): string[] => (symbols === '' ? [] : splitOutside(symbols, '*'));

/** The sum; 0 for none. */
export function sumOf(dimensions: readonly Dimension[]): Dimension {
  if (dimensions.every((each) => typeof each === 'number')) return dimensions.reduce((sum, each) => sum + each, 0);
  return format(collect(dimensions.flatMap((each) => [...parse(each)])));
}

/** a - b */
export function differenceOf(a: Dimension, b: Dimension): Dimension {
  return sumOf([a, productOf([-1, b])]);
}

/** The product; 1 for none. */
export function productOf(dimensions: readonly Dimension[]): Dimension {
  if (dimensions.every((each) => typeof each === 'number')) return dimensions.reduce((all, each) => all * each, 1);
  const multiply = (a: Polynomial, b: Polynomial): Polynomial =>
    collect(
      [...a].flatMap(([left, factor]) =>
        [...b].map(([right, other]): [string, number] => [
          [...factorsOf(left), ...factorsOf(right)].sort().join('*'),
          factor * other,
        ]),
      ),
    );
  return format(dimensions.map(parse).reduce(multiply, collect([['', 1]])));
}

/** a / b, or undefined where it is not known to be whole. */
export function quotientOf(a: Dimension, b: Dimension): Dimension | undefined {
  const [over, under] = [parse(a), [...parse(b)]];
  if (under.length !== 1) return format(over) === format(collect(under)) && under.length > 0 ? 1 : undefined;
  const [symbols, factor] = under[0] ?? ['', 0];
  const terms: [string, number][] = [];
  for (const [own, coefficient] of over) {
    const rest = factorsOf(own);
    for (const symbol of factorsOf(symbols)) {
      const index = rest.indexOf(symbol);
      if (index < 0) return undefined;
      rest.splice(index, 1);
    }
    if (!Number.isInteger(coefficient / factor)) return undefined;
    terms.push([rest.join('*'), coefficient / factor]);
  }
  return format(collect(terms));
}

/** a / b rounded down, as whole numbers that are not negative are divided. */
export function floorQuotientOf(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  return quotientOf(a, b) ?? `floor((${a})/(${b}))`;
}

/** a / b rounded up. */
export function ceilQuotientOf(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return Math.ceil(a / b);
  return quotientOf(a, b) ?? `ceil((${a})/(${b}))`;
}

/** The smaller one. Sizes are at least 1 here: an empty axis is no case that shapes are followed for. */
export function smallerOf(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return Math.min(a, b);
  return isAtLeast(a, b) ? b : isAtLeast(b, a) ? a : `min(${[String(a), String(b)].sort().join(',')})`;
}

/** The larger one, of sizes that are at least 1. */
export function largerOf(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return Math.max(a, b);
  return isAtLeast(a, b) ? a : isAtLeast(b, a) ? b : `max(${[String(a), String(b)].sort().join(',')})`;
}

function isAtLeast(a: Dimension, b: Dimension): boolean {
  const least = leastOf(differenceOf(a, b));
  return least !== undefined && least >= 0;
}

/**
 * The size of an axis along which two tensors are joined element by element: the one that is not 1.
 * Two different symbols may turn out equal, or one of them 1: that is a symbol of its own, 'max(a,b)'.
 */
export function eitherOf(a: Dimension, b: Dimension): Dimension {
  const [left, right] = [sumOf([a]), sumOf([b])];
  if (left === right || right === 1) return left;
  if (left === 1) return right;
  if (typeof left === 'number') return left;
  if (typeof right === 'number') return right;
  const partsOf = (text: string): string[] =>
    text.startsWith('max(') && splitOutside(text, '+').length === 1 && splitOutside(text, '*').length === 1
      ? splitOutside(text.slice(4, -1), ',')
      : [text];
  return `max(${[...new Set([...partsOf(left), ...partsOf(right)])].sort().join(',')})`;
}

/** The least value of a polynomial whose symbols are at least 1, undefined where there is none. */
export function leastOf(dimension: Dimension): number | undefined {
  let least = 0;
  for (const [symbols, factor] of parse(dimension)) {
    if (symbols !== '' && factor < 0) return undefined;
    least += factor;
  }
  return least;
}

/** The size where the symbols have these sizes; undefined where one of them is not among them. */
export function sizeWith(dimension: Dimension, sizes: ReadonlyMap<string, number>): number | undefined {
  let total = 0;
  for (const [symbols, factor] of parse(dimension)) {
    const values = factorsOf(symbols).map((symbol) => sizes.get(symbol) ?? sizeOfAtom(symbol, sizes));
    const known = values.filter((value) => value !== undefined);
    if (known.length < values.length) return undefined;
    total += known.reduce((product, value) => product * value, factor);
  }
  return total;
}

const functions: Readonly<Record<string, (values: readonly number[]) => number>> = {
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  floor: ([over = NaN, under = NaN]) => Math.floor(over / under),
  ceil: ([over = NaN, under = NaN]) => Math.ceil(over / under),
};

/** 'min(a,b)', 'max(a,b)', 'floor((a)/(b))' and 'ceil((a)/(b))'. */
function sizeOfAtom(symbol: string, sizes: ReadonlyMap<string, number>): number | undefined {
  const [, name = '', inner = ''] = /^(min|max|floor|ceil)\((.*)\)$/.exec(symbol) ?? [];
  const parts = name.startsWith('m')
    ? splitOutside(inner, ',')
    : splitOutside(inner, '/').map((part) => part.slice(1, -1));
  const values = parts.map((part) => sizeWith(part, sizes)).filter((value) => value !== undefined);
  return values.length === parts.length ? functions[name]?.(values) : undefined;
}

/** The number where every dimension is one, else undefined. */
export function knownCount(dimensions: readonly Dimension[]): number | undefined {
  const count = productOf(dimensions);
  return typeof count === 'number' ? count : undefined;
}

/** A symbol for a size that only running a node tells. */
export function unknownSize(node: string, what: string): string {
  return `${node.replaceAll(/[\s()*+,]/g, '_')}:${what}`;
}
