/**
 * What this process's runtime has beyond the standard operators, found out by trying: the blocked layout that convolutions
 * are fastest in, the width of its blocks from a reordered row of numbers, then forward and gradients against the standard operators;
 * and products that turn their factors.
 * The operators are the runtime's own and may change; on any doubt the standard ones are used.
 */
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import { toBlocks } from '../operators/convolution/blocked.js';
import { convolutionOf } from '../operators/convolution/convolution.js';
import { formsOf } from '../operators/convolution/forms.js';
import { GraphBuilder } from '../operators/graph-builder.js';
import { standardLowering, type Lowering } from '../operators/lowering.js';
import { turnedProduct } from '../operators/products/turned-product.js';
import { TypeScope } from '../operators/type-scope.js';
import { onnxRuntime } from './onnxruntime.adapter.js';
import type { Runtime } from './runtime.js';

/** Widths of blocks that are known: AVX2 and AVX-512. */
const widths = [8, 16] as const;

/** Largest difference to the standard operators, relative to the largest number. */
const tolerance = 1e-5;

let found: Promise<Lowering> | undefined;

/** The lowering for sessions of this process; tried once, standard operators where anything fails. */
export function sessionLowering(): Promise<Lowering> {
  found ??= tryLowering(onnxRuntime);
  return found;
}

/** The same for any runtime, tried each time. */
export async function tryLowering(runtime: Runtime): Promise<Lowering> {
  return { ...(await tryBlocks(runtime)), ...(await tryFusedProducts(runtime)) };
}

/** Batches of matrices turned as they are multiplied. */
export async function tryFusedProducts(runtime: Runtime): Promise<Lowering> {
  const lowering: Lowering = { fusedProducts: true };
  const shapes = { a: [3, 5, 7], b: [3, 5, 9], c: [3, 9, 7] };
  const products = (build: GraphBuilder): string[] => [
    turnedProduct({ a: 'a', b: 'b', turnA: true }, build),
    turnedProduct({ a: 'a', b: 'c', turnB: true }, build),
    turnedProduct({ a: 'b', b: 'a', turnA: true }, build),
  ];
  try {
    return (await isSame(shapes, products, { lowering, runtime })) ? lowering : standardLowering;
  } catch {
    // The same as below.
    return standardLowering;
  }
}

/** Convolutions in blocks. */
export async function tryBlocks(runtime: Runtime): Promise<Lowering> {
  try {
    const blockedChannels = await blockWidth(runtime);
    if (blockedChannels === undefined) return standardLowering;
    const lowering: Lowering = { blockedChannels };
    for (const probe of probes) if (!(await agrees(probe, lowering, runtime))) return standardLowering;
    return lowering;
  } catch {
    // A runtime that refuses these operators, or fails in them, trains with the standard ones.
    return standardLowering;
  }
}

/** Channels that lie together once 0, 1, 2 ... of two pixels a channel are reordered: 0, 2, 4 ... and then 1, 3, 5 ... */
async function blockWidth(runtime: Runtime): Promise<Lowering['blockedChannels']> {
  const shape = [1, 32, 1, 2];
  const model = modelOf({ x: shape }, (build) => [toBlocks('x', build)], { blockedChannels: 8 });
  const x = tensor(
    'float32',
    shape,
    Float32Array.from({ length: 64 }, (_, i) => i),
  );
  const [y] = await outputsOf(model, { x }, runtime);
  return widths.find((width) =>
    y?.data.every((value, i) => {
      const [block, within] = [Math.floor(i / (2 * width)), i % (2 * width)];
      return value === (block * width + (within % width)) * 2 + Math.floor(within / width);
    }),
  );
}

interface Probe {
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly kernel: number;
  readonly stride: number;
  /** Of a convolution of one group; otherwise each channel has a filter of its own. */
  readonly filters?: number;
}

const probes: readonly Probe[] = [
  { channels: 16, size: [5, 6], kernel: 3, stride: 1 },
  { channels: 20, size: [8, 7], kernel: 3, stride: 2 },
  { channels: 8, size: [6, 6], kernel: 5, stride: 1 },
  { channels: 16, size: [6, 5], kernel: 3, stride: 1, filters: 32 },
];

function agrees(probe: Probe, lowering: Lowering, runtime: Runtime): Promise<boolean> {
  const { channels, size, kernel, stride, filters } = probe;
  const positions = size.map((each) => Math.ceil(each / stride));
  const shapes = {
    x: [2, channels, ...size],
    w: [filters ?? channels, filters === undefined ? 1 : channels, kernel, kernel],
    dy: [2, filters ?? channels, ...positions],
  };
  return isSame(shapes, (build) => convolution(probe, build), { lowering, runtime });
}

/** Whether a graph gives the same numbers under a lowering as in standard operators. */
async function isSame(
  shapes: Readonly<Record<string, readonly number[]>>,
  write: (build: GraphBuilder) => string[],
  { lowering, runtime }: { lowering: Lowering; runtime: Runtime },
): Promise<boolean> {
  const feeds = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, numbers(shape, i)]));
  const [expected, results] = await Promise.all(
    [standardLowering, lowering].map((each) => outputsOf(modelOf(shapes, write, each), feeds, runtime)),
  );
  return expected?.every((value, i) => isClose(results?.[i], value)) === true;
}

/** Output, and gradients by input and weight. */
function convolution({ channels, kernel, stride, filters }: Probe, build: GraphBuilder): string[] {
  const pad = Math.floor(kernel / 2);
  const ints = (value: number, count: number) => ({ kind: 'ints' as const, value: Array<number>(count).fill(value) });
  const node = {
    name: 'y',
    op: 'Conv',
    domain: '',
    inputs: ['x', 'w'],
    outputs: ['y'],
    attributes: {
      strides: ints(stride, 2),
      pads: ints(pad, 4),
      group: { kind: 'int' as const, value: filters === undefined ? channels : 1 },
    },
  };
  const conv = convolutionOf(build.siteOf(node));
  const { forward, byInput, byWeight } = formsOf(conv, build.lowering);
  if (forward === undefined) build.keep(node);
  else forward(conv, { bias: '', output: 'y' }, build);
  return ['y', byInput(conv, 'dy', build), byWeight(conv, 'dy', build)];
}

function modelOf(
  shapes: Readonly<Record<string, readonly number[]>>,
  write: (build: GraphBuilder) => string[],
  lowering: Lowering,
): Model {
  const scope = new TypeScope();
  const inputs = Object.entries(shapes).map(([name, shape]) => ({ name, dtype: 'float32' as const, shape }));
  for (const { name, dtype, shape } of inputs) scope.declare(name, { dtype, shape });
  const build = new GraphBuilder(scope, 'probe/', lowering);
  const outputs = write(build).map((name) => ({ name, dtype: 'float32' as const }));
  const weights = [...build.constants].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    graph: { name: 'blocked convolution', inputs, outputs, weights, nodes: build.nodes },
    weights: build.constants,
  };
}

async function outputsOf(
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  runtime: Runtime,
): Promise<(Tensor<'float32'> | undefined)[]> {
  const session = await runtime.load(model, { threads: 1, purpose: 'training' });
  try {
    const fetches = await session.run(feeds);
    return model.graph.outputs.map(({ name }) => {
      const value = fetches[name];
      return value?.dtype === 'float32' ? value : undefined;
    });
  } finally {
    await session.dispose();
  }
}

/** Numbers of [-1, 1] without a pattern that a wrong order could keep. */
function numbers(shape: readonly number[], seed: number): Tensor {
  const length = shape.reduce((product, size) => product * size, 1);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length }, (_, i) => Math.sin(1 + seed + 12.9898 * i)),
  );
}

function isClose(found: Tensor<'float32'> | undefined, expected: Tensor<'float32'> | undefined): boolean {
  if (found === undefined || expected === undefined || found.shape.join() !== expected.shape.join()) return false;
  const largest = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.data.every((value, i) => Math.abs(value - (found.data[i] ?? NaN)) <= tolerance * largest);
}
