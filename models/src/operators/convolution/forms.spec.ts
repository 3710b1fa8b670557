/** Every form of a convolution, wherever it can be used at all, against sums in float64 written as the operator's page defines them. */
import { assert, asyncProperty, boolean, constantFrom, integer, record, tuple } from 'fast-check';

import { random } from '@graft/core/random';
import { elementCount, tensor, type Tensor } from '@graft/core/tensor';

import { liveNodes } from '../../graph/live-nodes.js';
import { sessionLowering } from '../../runtime/blocked-convolution.adapter.js';
import { onnxRuntime } from '../../runtime/onnxruntime.adapter.js';
import { GraphBuilder } from '../graph-builder.js';
import { standardLowering } from '../lowering.js';
import { TypeScope } from '../type-scope.js';
import { byInput } from './by-input.js';
import { byWeight } from './by-weight.js';
import { byInputOfColumns, byWeightOfColumns, fitsColumns, forwardByColumns } from './columns.js';
import { isDepthwise, productOver, type Convolution } from './convolution.js';
import { denseByInputInBlocks, fitsDenseBlocks, forwardDenseInBlocks } from './dense-blocked.js';
import { byInputInBlocks, byWeightInBlocks, fitsBlocks, forwardInBlocks } from './depthwise-blocked.js';
import { exchangedConv } from './exchanged-convolution.js';
import { formsOf } from './forms.js';
import { channelRows, jointTaps, pixelRows } from './weight-by-taps.js';

interface Given {
  readonly batch: number;
  readonly channels: number;
  readonly filters: number;
  readonly group: number;
  readonly size: readonly number[];
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begin: readonly number[];
  readonly end: readonly number[];
}

/** Undefined where no window fits. */
function convolution(given: Given): Convolution | undefined {
  const axes = given.size.map((input, i) => {
    const at = (values: readonly number[], otherwise: number): number => values[i] ?? otherwise;
    const { kernel, stride, dilation } = {
      kernel: at(given.kernel, 1),
      stride: at(given.strides, 1),
      dilation: at(given.dilations, 1),
    };
    const { begin, end } = { begin: at(given.begin, 0), end: at(given.end, 0) };
    const room = input + begin + end - (dilation * (kernel - 1) + 1);
    return { input, output: Math.floor(room / stride) + 1, kernel, stride, dilation, begin, end };
  });
  if (axes.some(({ output }) => output < 1)) return undefined;
  const { batch, channels, filters, group } = given;
  const counts = {
    positions: productOver(axes, (axis) => axis.output),
    taps: productOver(axes, (axis) => axis.kernel),
  };
  return { x: 'x', w: 'w', dtype: 'float32', batch, channels, filters, group, axes, ...counts };
}

type Form = (conv: Convolution, build: GraphBuilder) => string;

/** Forms by what they compute, those that can be used here. */
async function formsFor(conv: Convolution): Promise<Record<'y' | 'dx' | 'dw', Record<string, Form>>> {
  const lowering = await sessionLowering();
  const dense = conv.group === 1;
  const blocks = fitsBlocks(conv, lowering);
  const denseBlocks = fitsDenseBlocks(conv, lowering);
  const chosen = formsOf(conv, lowering);
  const standard = formsOf(conv, standardLowering);
  return {
    y: {
      ...(dense && { columns: (_, build) => named(build, (y) => forwardByColumns(conv, y, build)) }),
      ...(blocks && { blocks: (_, build) => named(build, (y) => forwardInBlocks(conv, y, build)) }),
      ...(denseBlocks && { denseBlocks: (_, build) => named(build, (y) => forwardDenseInBlocks(conv, y, build)) }),
    },
    dx: {
      plain: (_, build) => byInput(conv, 'dy', build),
      chosen: (_, build) => chosen.byInput(conv, 'dy', build),
      standard: (_, build) => standard.byInput(conv, 'dy', build),
      ...(dense && { columns: (_, build) => byInputOfColumns(conv, 'dy', build) }),
      ...(blocks && { blocks: (_, build) => byInputInBlocks(conv, 'dy', build) }),
      ...(denseBlocks && { denseBlocks: (_, build) => denseByInputInBlocks(conv, 'dy', build) }),
    },
    dw: {
      plain: (_, build) => byWeight(conv, 'dy', build),
      chosen: (_, build) => chosen.byWeight(conv, 'dy', build),
      standard: (_, build) => standard.byWeight(conv, 'dy', build),
      pixels: (_, build) => pixelRows(conv, 'dy', build),
      ...(dense && {
        columns: (_, build) => byWeightOfColumns(conv, 'dy', build),
        channels: (_, build) => channelRows(conv, 'dy', build),
        joint: (_, build) => jointTaps(conv, 'dy', build),
        exchanged: (_, build) => exchangedConv(conv, 'dy', build),
      }),
      ...(blocks && { blocks: (_, build) => byWeightInBlocks(conv, 'dy', build) }),
    },
  };
}

let outputs = 0;

function named(build: GraphBuilder, write: (given: { bias: string; output: string }) => void): string {
  const output = `y${outputs++}`;
  write({ bias: 'bias', output });
  return output;
}

/** Each form in a graph of its own, since forms share layouts within one. */
async function resultOf(conv: Convolution, form: Form, feeds: Readonly<Record<string, Tensor>>): Promise<Tensor> {
  const scope = new TypeScope();
  const inputs = Object.entries(feeds).map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  for (const { name, dtype, shape } of inputs) scope.declare(name, { dtype, shape });
  const build = new GraphBuilder(scope, 'form/', await sessionLowering());
  const name = form(conv, build);
  const graph = {
    name: 'form',
    inputs,
    outputs: [{ name, dtype: 'float32' as const }],
    weights: [...build.constants].map(([constant, { dtype, shape }]) => ({ name: constant, dtype, shape })),
    nodes: liveNodes(build.nodes, [name]),
  };
  const session = await onnxRuntime.load({ graph, weights: build.constants }, { threads: 1, purpose: 'training' });
  try {
    const value = (await session.run(feeds))[name];
    if (value === undefined) throw new Error(`the form has no result ${name}`);
    expect(build.shapeOf(name)).toEqual(value.shape);
    return value;
  } finally {
    await session.dispose();
  }
}

const values = (shape: readonly number[], seed: number): Tensor<'float32'> => {
  const stream = random(seed);
  const data = Float32Array.from({ length: elementCount(shape) }, () => stream.next() * 2 - 1);
  return tensor('float32', shape, data);
};

/** y = sum over taps, and the gradients of the sum of y dy, in one walk over all products. */
function expected(conv: Convolution, feeds: Readonly<Record<'x' | 'w' | 'dy' | 'bias', Tensor<'float32'>>>) {
  const { channels, filters, group, axes } = conv;
  const [height, width] = axes;
  if (height === undefined || width === undefined) throw new Error('two axes are compared');
  const { x, w, dy, bias } = feeds;
  const y = Array.from(dy.data, (_, i) => bias.data[Math.floor(i / conv.positions) % filters] ?? NaN);
  const [dx, dw] = [Array<number>(x.data.length).fill(0), Array<number>(w.data.length).fill(0)];
  const perGroup = channels / group;
  for (let out = 0; out < y.length; out++) {
    const column = out % width.output;
    const row = Math.floor(out / width.output) % height.output;
    const filter = Math.floor(out / conv.positions) % filters;
    const example = Math.floor(out / (conv.positions * filters));
    for (let c = 0; c < perGroup; c++) {
      const channel = Math.floor(filter / (filters / group)) * perGroup + c;
      for (let tap = 0; tap < conv.taps; tap++) {
        const i = row * height.stride + Math.floor(tap / width.kernel) * height.dilation - height.begin;
        const j = column * width.stride + (tap % width.kernel) * width.dilation - width.begin;
        if (i < 0 || j < 0 || i >= height.input || j >= width.input) continue;
        const at = ((example * channels + channel) * height.input + i) * width.input + j;
        const weight = (filter * perGroup + c) * conv.taps + tap;
        y[out] = (y[out] ?? 0) + (x.data[at] ?? NaN) * (w.data[weight] ?? NaN);
        dx[at] = (dx[at] ?? 0) + (dy.data[out] ?? NaN) * (w.data[weight] ?? NaN);
        dw[weight] = (dw[weight] ?? 0) + (dy.data[out] ?? NaN) * (x.data[at] ?? NaN);
      }
    }
  }
  return { y: { shape: dy.shape, data: y }, dx: { shape: x.shape, data: dx }, dw: { shape: w.shape, data: dw } };
}

/** The largest difference over the largest number. */
function difference(found: Tensor, { shape, data }: { shape: readonly number[]; data: readonly number[] }): number {
  if (found.shape.join() !== shape.join()) return Infinity;
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return data.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(found.data[i]))), 0) / largest;
}

/** What is wrong, by form. */
async function faults(given: Given, seed: number): Promise<string[]> {
  const conv = convolution(given);
  if (conv === undefined) return [];
  const { channels, filters, group, axes } = conv;
  const { batch } = given;
  const feeds = {
    x: values([batch, channels, ...axes.map(({ input }) => input)], seed),
    w: values([filters, channels / group, ...axes.map(({ kernel }) => kernel)], seed + 1),
    dy: values([batch, filters, ...axes.map(({ output }) => output)], seed + 2),
    bias: values([filters], seed + 3),
  };
  const right = expected(conv, feeds);
  const forms = await formsFor(conv);
  const wrong: string[] = [];
  for (const what of ['y', 'dx', 'dw'] as const) {
    for (const [name, form] of Object.entries(forms[what])) {
      const error = difference(await resultOf(conv, form, feeds), right[what]);
      if (!(error <= 1e-5)) wrong.push(`${what} by ${name}: ${error}`);
    }
  }
  return wrong;
}

const square = (channels: number, size: number, { kernel = 3, stride = 1, depthwise = true } = {}): Given => ({
  batch: 2,
  channels,
  filters: depthwise ? channels : 7,
  group: depthwise ? channels : 1,
  size: [size, size],
  kernel: [kernel, kernel],
  strides: [stride, stride],
  dilations: [1, 1],
  begin: Array<number>(2).fill(Math.floor(kernel / 2)),
  end: Array<number>(2).fill(Math.floor(kernel / 2)),
});

/** Milliseconds: each form is loaded as a session of its own. */
const patience = 60_000;

describe('the forms of a convolution', () => {
  const two = (min: number, max: number) => tuple(integer({ min, max }), integer({ min, max }));
  const windows = record({
    batch: integer({ min: 1, max: 3 }),
    size: two(1, 9),
    kernel: two(1, 4),
    strides: two(1, 3),
    dilations: two(1, 2),
    begin: two(0, 2),
    end: two(0, 2),
    seed: integer({ min: 0, max: 1e6 }),
  });

  it(
    'give the same numbers for any window over dense channels',
    async () => {
      const channels = record({ channels: integer({ min: 1, max: 5 }), filters: integer({ min: 1, max: 5 }) });
      await assert(
        asyncProperty(windows, channels, async ({ seed, ...window }, counts) => {
          expect(await faults({ ...window, ...counts, group: 1 }, seed)).toEqual([]);
        }),
        { numRuns: 30 },
      );
    },
    patience,
  );

  it(
    'give the same numbers for any window over channels of their own',
    async () => {
      await assert(
        asyncProperty(windows, constantFrom(2, 4, 8, 12, 20), async ({ seed, ...window }, channels) => {
          expect(await faults({ ...window, channels, filters: channels, group: channels }, seed)).toEqual([]);
        }),
        { numRuns: 30 },
      );
    },
    patience,
  );

  it(
    'give the same numbers for groups of several channels',
    async () => {
      await assert(
        asyncProperty(windows, two(1, 3), boolean(), async ({ seed, ...window }, [perGroup, perFilter], more) => {
          const group = more ? 3 : 2;
          const counts = { channels: group * perGroup, filters: group * perFilter, group };
          expect(await faults({ ...window, ...counts }, seed)).toEqual([]);
        }),
        { numRuns: 12 },
      );
    },
    patience,
  );

  it(
    'give the same numbers for any window over blocks of dense channels',
    async () => {
      const counts = record({
        channels: constantFrom(8, 16, 32),
        filters: constantFrom(8, 16, 32),
        group: constantFrom(1),
      });
      await assert(
        asyncProperty(windows, counts, async ({ seed, ...window }, given) => {
          expect(await faults({ ...window, ...given }, seed)).toEqual([]);
        }),
        { numRuns: 12 },
      );
    },
    patience,
  );

  it.each([
    ['pixels with strides', square(6, 8, { kernel: 1, stride: 2, depthwise: false })],
    ['many taps', square(3, 9, { kernel: 7, stride: 2, depthwise: false })],
    ['more channels than a product of channels is used for', square(130, 3, { depthwise: false })],
    ['few positions of many channels', square(70, 4, { depthwise: false })],
    ['a part of a block', square(4, 6)],
    ['several blocks and a part', square(44, 7, { stride: 2 })],
    ['wide kernels', square(16, 11, { kernel: 7 })],
  ])(
    'give the same numbers for %s',
    async (_, given) => {
      expect(await faults(given, 1)).toEqual([]);
    },
    patience,
  );
});

describe('which form applies', () => {
  const of = (given: Given): Convolution => {
    const conv = convolution(given);
    if (conv === undefined) throw new Error('no window fits');
    return conv;
  };

  it('is columns where positions are few and channels many', () => {
    expect(fitsColumns({ ...of(square(128, 4, { depthwise: false })), filters: 128 })).toBe(true);
    expect(fitsColumns({ ...of(square(128, 8, { depthwise: false })), filters: 128 })).toBe(false);
    expect(fitsColumns(of(square(8, 4, { depthwise: false })))).toBe(false);
    const wide = of(square(512, 4, { kernel: 63, depthwise: false }));
    expect(fitsColumns({ ...wide, filters: 512 })).toBe(false);
  });

  it('is blocks only where the session has them, the batch is a number and channels go by fours', () => {
    const blocks = { blockedChannels: 8 } as const;
    expect(fitsBlocks(of(square(16, 8)), blocks)).toBe(true);
    expect(fitsBlocks(of(square(16, 8)), standardLowering)).toBe(false);
    expect(fitsBlocks({ ...of(square(16, 8)), batch: 'batch' }, blocks)).toBe(false);
    expect(fitsBlocks(of(square(18, 8)), blocks)).toBe(false);
    expect(isDepthwise(of(square(16, 8, { depthwise: false })))).toBe(false);
    const dense = { ...of(square(64, 8, { depthwise: false })), filters: 64 };
    expect(fitsDenseBlocks(dense, blocks)).toBe(true);
    expect(fitsDenseBlocks(dense, standardLowering)).toBe(false);
    expect(fitsDenseBlocks({ ...dense, filters: 60 }, blocks)).toBe(false);
    expect(fitsDenseBlocks({ ...dense, filters: 256 }, blocks)).toBe(false);
    expect(fitsBlocks(of(square(16, 8, { depthwise: false })), blocks)).toBe(false);
  });
});
