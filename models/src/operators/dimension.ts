/** Sizes as products of a number and symbols: 24, 'batch', '6*batch'. Enough to follow reshapes of a symbolic batch. */
import type { Dimension } from '../graph/graph.js';

interface Product {
  readonly factor: number;
  /** Sorted. */
  readonly symbols: readonly string[];
}

function parse(dimension: Dimension): Product {
  if (typeof dimension === 'number') return { factor: dimension, symbols: [] };
  const parts = dimension.split('*');
  const factor = parts.reduce((product, part) => (/^-?\d+$/.test(part) ? product * Number(part) : product), 1);
  return { factor, symbols: parts.filter((part) => !/^-?\d+$/.test(part)).sort() };
}

function format({ factor, symbols }: Product): Dimension {
  if (symbols.length === 0 || factor === 0) return factor;
  return (factor === 1 ? symbols : [String(factor), ...symbols]).join('*');
}

/** The product; 1 for none. */
export function productOf(dimensions: readonly Dimension[]): Dimension {
  const products = dimensions.map(parse);
  return format({
    factor: products.reduce((total, { factor }) => total * factor, 1),
    symbols: products.flatMap(({ symbols }) => symbols).sort(),
  });
}

/** a / b, or undefined where it is no whole product. */
export function quotientOf(a: Dimension, b: Dimension): Dimension | undefined {
  const [over, under] = [parse(a), parse(b)];
  const factor = over.factor / under.factor;
  if (!Number.isInteger(factor)) return undefined;
  const symbols = [...over.symbols];
  for (const symbol of under.symbols) {
    const index = symbols.indexOf(symbol);
    if (index < 0) return undefined;
    symbols.splice(index, 1);
  }
  return format({ factor, symbols });
}

/** The number where every dimension is one, else undefined. */
export function knownCount(dimensions: readonly Dimension[]): number | undefined {
  const count = productOf(dimensions);
  return typeof count === 'number' ? count : undefined;
}
