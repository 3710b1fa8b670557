/**
 * For specs: every gradient in ONNX Runtime against central differences of a float64 reference,
 * with the shape rule and the forward of the reference checked by the way.
 */
import { describe, expect, it } from '@jest/globals';
import { assert, asyncProperty, integer } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import type { Dimension, Node } from '../graph/graph.js';
import { onnxRuntime } from '../runtime/onnxruntime.adapter.js';
import type { Runtime, Session } from '../runtime/runtime.js';
import { differentiate } from '../training/differentiate.js';
import { relativeError } from '../training/gradient-graph.contract.js';
import type { Array64, Reference, References } from './array64.contract.js';
import { sizeWith } from './dimension.js';
import { GraphBuilder, type Attributes } from './graph-builder.js';
import type { Known } from './operator.js';
import { TypeScope } from './type-scope.js';

export interface ConstantInput {
  readonly dtype: 'int64' | 'int32' | 'float32' | 'bool';
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

/** One node whose gradients are compared. */
export interface GradientCase {
  readonly op: string;
  /** Shapes of the inputs by place; those of constants are ignored and may be []. */
  readonly shapes: readonly (readonly number[])[];
  readonly attributes?: Attributes;
  /** Inputs by place that have no gradient because they are constants of the graph, or left out. */
  readonly constants?: Readonly<Record<number, ConstantInput | 'left out'>>;
  /** Values in [low, high]; otherwise [-2, 2]. */
  readonly range?: readonly [number, number];
  /** The same of single inputs. */
  readonly ranges?: Readonly<Record<number, readonly [number, number]>>;
  /** Whole numbers, so that some are equal: for rules about ties. */
  readonly whole?: boolean;
  /** Real inputs by place whose gradient is not asked for. */
  readonly frozen?: readonly number[];
  /** Results of the node; 1 unless given. */
  readonly outputs?: number;
  /** Results that take part; all unless given. */
  readonly projected?: readonly number[];
  /** Dimensions of inputs by place that the graph knows by these symbols only. */
  readonly symbols?: Readonly<Record<number, readonly Dimension[]>>;
  /** The results are linear in all real inputs together: checks <A x, y> = <x, A' y>. */
  readonly linear?: boolean;
  /** For the title. */
  readonly note?: string;
}

/** A vector of int64, as axes and shapes are given. */
export const ints = (...data: number[]): ConstantInput => ({ dtype: 'int64', shape: [data.length], data });

/** A constant of any shape. */
export const constant = (
  dtype: ConstantInput['dtype'],
  shape: readonly number[],
  data: readonly number[],
): ConstantInput => ({ dtype, shape, data });

/** Away from zero on the positive side. */
export const positive = [0.3, 2] as const;

/** Largest relative error of a gradient, and of a forward, in float32 against float64. */
const tolerance = 1e-5;

/** Elements of an input whose derivative is taken: a difference runs the whole operator twice. */
const sampled = 12;

/** Seeds that are tried of each case; the graph is loaded once. */
const seeds = 3;

/** Where the specs run: in ONNX Runtime unless given. */
export interface Place {
  readonly runtime: () => Promise<Runtime>;
  readonly seeds: number;
}

const standardPlace: Place = { runtime: () => Promise.resolve(onnxRuntime), seeds };

/** Registers the specs of a family; `reference` has the forward of each operator of the cases in float64. */
export function describeGradients(
  family: string,
  cases: readonly GradientCase[],
  reference: References,
  place: Place = standardPlace,
): void {
  describe(`the gradients of ${family}`, () => {
    it.each(cases.map((one) => [titleOf(one), one] as const))('%s agree with central differences', async (_, one) => {
      const run = reference[one.op];
      if (run === undefined) throw new Error(`there is no reference for ${one.op}`);
      const bench = await prepare(one, await place.runtime());
      try {
        await assert(
          asyncProperty(integer({ min: 0, max: 1e6 }), async (seed) => {
            expect(await findings(bench, { run, seed })).toEqual([]);
          }),
          { numRuns: place.seeds },
        );
      } finally {
        await bench.session.dispose();
      }
    });
  });
}

/** What is wrong with a case under one seed: nothing, or lines that say what. */
export async function compareOnce(one: GradientCase, run: Reference): Promise<string[]> {
  const bench = await prepare(one, onnxRuntime);
  try {
    return await findings(bench, { run, seed: 1 });
  } finally {
    await bench.session.dispose();
  }
}

function titleOf({ op, shapes, attributes = {}, note, symbols, constants = {} }: GradientCase): string {
  const given = shapes.map((shape, i) => (constants[i] === undefined ? `[${shape.join()}]` : '')).filter(Boolean);
  const symbolic = symbols === undefined ? '' : ` as ${Object.values(symbols).join(' ')}`;
  const rest = Object.keys(attributes).length === 0 ? '' : ` ${JSON.stringify(attributes)}`;
  return `${op} ${given.join(' ')}${symbolic}${rest}${note === undefined ? '' : ` ${note}`}`;
}

interface Prepared {
  readonly one: GradientCase;
  readonly node: Node;
  readonly session: Session;
  /** Places of the inputs whose gradients are asked for. */
  readonly wanted: readonly number[];
  readonly outputs: readonly { readonly name: string; readonly known: Known }[];
  /** Places of inputs whose gradient the rule says is zero. */
  readonly absent: ReadonlySet<number>;
}

const places = ({ shapes, constants = {} }: GradientCase): number[] => {
  const last = Math.max(shapes.length, ...Object.keys(constants).map((each) => Number(each) + 1));
  return [...Array(last).keys()];
};

/** The graph of a node, of its gradients, with the gradients by its results as inputs. */
async function prepare(one: GradientCase, runtime: Runtime): Promise<Prepared> {
  const { constants = {}, symbols = {} } = one;
  const all = places(one);
  const real = all.filter((i) => constants[i] === undefined);
  const scope = new TypeScope();
  const build = new GraphBuilder(scope, 'graph/');
  const inputs: { name: string; known: Known }[] = [];
  const declare = (name: string, known: Known): void => {
    scope.declare(name, known);
    inputs.push({ name, known });
  };
  for (const i of real) declare(`x${i}`, { dtype: 'float32', shape: symbols[i] ?? one.shapes[i] ?? [] });
  const names = all.map((i) => {
    const given = constants[i];
    if (given === undefined) return `x${i}`;
    return given === 'left out' ? '' : build.constant(asTensor(given));
  });
  const outputs = Array.from({ length: one.outputs ?? 1 }, (_, i) => `y${i}`);
  build.addNamed(one.op, names, { attributes: one.attributes ?? {}, outputs });
  const node = build.nodes.at(-1);
  if (node === undefined) throw new Error('the node is not there');
  const projected = one.projected ?? [...outputs.keys()];
  for (const i of projected) {
    const { dtype, shape } = scope.of(`y${i}`);
    declare(`dy${i}`, { dtype, ...(shape && { shape }) });
  }
  const wanted = real.filter((i) => one.frozen?.includes(i) !== true);
  const gradients = differentiate(
    {
      nodes: [node],
      scope,
      seeds: new Map(projected.map((i) => [`y${i}`, `dy${i}`])),
      wanted: wanted.map((i) => `x${i}`),
    },
    build,
  );
  for (const [name, gradient] of gradients) build.addNamed('Identity', [gradient], { outputs: [`d${name}`] });
  const results = [...outputs, ...[...gradients.keys()].map((name) => `d${name}`)];
  const graph = {
    name: 'gradients',
    inputs: inputs.map(({ name, known }) => ({ name, ...known })),
    outputs: results.map((name) => ({ name, dtype: scope.of(name).dtype })),
    weights: [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    nodes: build.nodes,
  };
  const session = await runtime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  return {
    one,
    node,
    session,
    wanted,
    outputs: outputs.map((name) => ({ name, known: scope.of(name) })),
    absent: new Set(wanted.filter((i) => !gradients.has(`x${i}`))),
  };
}

function asTensor({ dtype, shape, data }: ConstantInput): Tensor {
  if (dtype === 'int64') return tensor(dtype, shape, BigInt64Array.from(data, BigInt));
  if (dtype === 'int32') return tensor(dtype, shape, Int32Array.from(data));
  if (dtype === 'bool') return tensor(dtype, shape, Uint8Array.from(data));
  return tensor(dtype, shape, Float32Array.from(data));
}

/** Values away from each other and from the kinks of the operators, which central differences must not step over. */
function valuesOf(shape: readonly number[], seed: number, [low, high]: readonly [number, number]): Float32Array {
  const count = elementCount(shape);
  const order = random(seed).shuffle([...Array(count).keys()]);
  return Float32Array.from(order, (place) => low + ((high - low) * (place + 0.37)) / count);
}

const numbers = (value: Tensor): Array64 => ({
  shape: value.shape,
  data: Array.from(value.data as Iterable<number>, Number),
});

/** What is wrong with a case under one seed: nothing, or lines that say what. */
async function findings(bench: Prepared, { run, seed }: { run: Reference; seed: number }): Promise<string[]> {
  const { one, node, session, wanted, outputs, absent } = bench;
  const feeds: Record<string, Tensor> = {};
  const arrays = places(one).map((i): Array64 | undefined => {
    const given = one.constants?.[i];
    if (given === 'left out') return undefined;
    if (given !== undefined) return { shape: given.shape, data: given.data };
    const values = valuesOf(one.shapes[i] ?? [], seed + i, one.ranges?.[i] ?? one.range ?? [-2, 2]);
    const fed = tensor('float32', one.shapes[i] ?? [], one.whole === true ? values.map(Math.round) : values);
    feeds[`x${i}`] = fed;
    return numbers(fed);
  });
  const expected = outputsOf(run(node, arrays));
  const projected = one.projected ?? [...outputs.keys()];
  const onto = new Map(
    projected.map((i) => {
      const shape = expected[i]?.shape ?? [];
      return [i, tensor('float32', shape, valuesOf(shape, seed + 100 + i, [-1, 1]))] as const;
    }),
  );
  for (const [i, value] of onto) feeds[`dy${i}`] = value;
  const found = await session.run(feeds);
  const sizes = sizesOf(one);
  const wrong = outputs.flatMap((output, i) => forwardFindings(found[output.name], expected[i], { ...output, sizes }));
  const loss = { run, node, onto };
  for (const i of wanted) {
    const taken = random(seed + 200)
      .shuffle([...Array(arrays[i]?.data.length ?? 0).keys()])
      .slice(0, sampled);
    const differences = differencesOf(loss, { arrays, index: i, places: taken });
    const gradient = absent.has(i) ? undefined : found[`dx${i}`];
    const shape = absent.has(i) ? one.shapes[i] : gradient?.shape;
    if (shape?.join() !== one.shapes[i]?.join()) wrong.push(`gradient ${i} has shape [${String(shape)}]`);
    const values = taken.map((place) => (absent.has(i) ? 0 : Number(gradient?.data[place] ?? NaN)));
    const error = relativeError(values, differences);
    if (!(error <= tolerance)) wrong.push(`gradient ${i} is [${values.join()}], expected [${differences.join()}]`);
  }
  if (one.linear === true) wrong.push(...adjointFindings({ feeds, found, onto, wanted }));
  return wrong;
}

const outputsOf = (result: Array64 | readonly Array64[]): readonly Array64[] => ('data' in result ? [result] : result);

/** Sizes of the symbols of a case. */
function sizesOf({ symbols = {}, shapes }: GradientCase): ReadonlyMap<string, number> {
  const pairs = Object.entries(symbols).flatMap(([place, names]) =>
    names.map((name, axis): [string, number] => [String(name), shapes[Number(place)]?.[axis] ?? NaN]),
  );
  return new Map(pairs);
}

function forwardFindings(
  found: Tensor | undefined,
  expected: Array64 | undefined,
  { name, known, sizes }: { name: string; known: Known; sizes: ReadonlyMap<string, number> },
): string[] {
  if (found === undefined || expected === undefined) return [`${name} is not there`];
  const wrong: string[] = [];
  const fits =
    known.shape?.length === found.shape.length &&
    known.shape.every((each, axis) => [found.shape[axis], undefined].includes(sizeWith(each, sizes)));
  if (!fits || known.dtype !== found.dtype)
    wrong.push(
      `${name} is ${found.dtype} [${found.shape.join()}], the rule says ${known.dtype} [${String(known.shape)}]`,
    );
  if (expected.shape.join() !== found.shape.join())
    wrong.push(`${name} has shape [${found.shape.join()}], the reference [${expected.shape.join()}]`);
  const error = relativeError(numbers(found).data, expected.data);
  if (!(error <= tolerance)) wrong.push(`${name} differs from the reference by ${error}`);
  return wrong;
}

interface Loss {
  readonly run: Reference;
  readonly node: Node;
  readonly onto: ReadonlyMap<number, Tensor>;
}

/** Central differences of the sum of the results times fixed numbers. */
function differencesOf(
  { run, node, onto }: Loss,
  { arrays, index, places: taken }: { arrays: readonly (Array64 | undefined)[]; index: number; places: number[] },
): number[] {
  const array = arrays[index] ?? { shape: [], data: [] };
  const step = 1e-5;
  const loss = (place: number, moved: number): number => {
    const data = array.data.with(place, (array.data[place] ?? NaN) + moved);
    const outputs = outputsOf(run(node, arrays.with(index, { shape: array.shape, data })));
    return [...onto].reduce((total, [i, { data: weight }]) => total + dot(outputs[i]?.data ?? [NaN], weight), 0);
  };
  return taken.map((place) => (loss(place, step) - loss(place, -step)) / (2 * step));
}

function dot(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += Number(a[i]) * Number(b[i] ?? NaN);
  return total;
}

/** <A x, y> = <x, A' y>, of what the runtime computed. */
function adjointFindings({
  feeds,
  found,
  onto,
  wanted,
}: {
  feeds: Readonly<Record<string, Tensor>>;
  found: Readonly<Record<string, Tensor>>;
  onto: ReadonlyMap<number, Tensor>;
  wanted: readonly number[];
}): string[] {
  const norm = (value: ArrayLike<number | bigint>): number => Math.sqrt(dot(value, value));
  let [left, right, scale] = [0, 0, 0];
  for (const [i, y] of onto) left += dot(found[`y${i}`]?.data ?? [], y.data);
  for (const i of wanted) {
    const [x, dx] = [feeds[`x${i}`]?.data ?? [], found[`dx${i}`]?.data ?? []];
    right += dot(x, dx);
    scale += norm(x) * norm(dx);
  }
  return Math.abs(left - right) <= tolerance * scale ? [] : [`<A x, y> is ${left}, <x, A' y> is ${right}`];
}
