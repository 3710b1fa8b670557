/**
 * Folding: what the exporter of a model left as chains of small operators becomes part of the convolutions around them.
 * The result is the same function up to rounding, runs faster in float32 as well, and has fewer places where INT8 would round.
 */
import { tensor } from '@graft/core/tensor';

import type { Model, Node } from '../graph/graph.js';
import { affineOf, type Affine } from './affine.js';
import { Draft } from './draft.js';
import { foldHardSwish } from './hard-swish.js';

/**
 * - Add 3, Clip 0..6, Mul x, Div 6 becomes HardSigmoid, Mul (hard-swish);
 * - Mul, Add, Sub, Div by constants and BatchNormalization after a Conv go into its weights;
 * - Mul and Div by one constant before Convs go into theirs, Add and Sub where the Convs pad nothing.
 * Values that stay keep their names; weights that change get new ones. Weights must be constants: fold after training.
 */
export function foldConstants(model: Model): Model {
  const draft = new Draft(model);
  for (const { name } of draft.nodes()) foldHardSwish(draft, name);
  for (const { name } of draft.nodes()) foldBackward(draft, name);
  for (const { name } of draft.nodes().toReversed()) foldForward(draft, name);
  return draft.finish();
}

/** Conv then affine: W' = scale W, b' = scale b + shift. */
function foldBackward(draft: Draft, name: string): void {
  const node = draft.node(name);
  if (node === undefined) return;
  const made = node.inputs.map((input) => draft.maker(input)).find((maker) => maker?.op === 'Conv');
  const conv = made && readConv(draft, made);
  if (conv === undefined) return;
  const affine = affineOf(draft, node, conv.shape.length);
  if (affine === undefined || affine.input !== conv.node.outputs[0] || !draft.isPrivate(affine.input, node)) return;
  const [channels = 0] = conv.shape;
  if (![affine.scale, affine.shift].every(({ length }) => length === 1 || length === channels)) return;
  const perChannel = conv.weight.length / channels;
  const scale = spread(affine.scale, channels);
  const shift = spread(affine.shift, channels);
  const weight = conv.weight.map((value, i) => value * (scale[Math.floor(i / perChannel)] ?? 0));
  const bias = Float64Array.from(shift, (value, i) => value + (conv.bias?.[i] ?? 0) * (scale[i] ?? 0));
  if (!weight.every(Number.isFinite) || !bias.every(Number.isFinite)) return;
  draft.remove(node.name);
  writeConv(draft, conv, { weight, bias, output: node.outputs[0] });
}

/** Affine with one pair for all channels, then Convs: W' = W scale, b' = b + shift sum(W). */
function foldForward(draft: Draft, name: string): void {
  const node = draft.node(name);
  const [output = ''] = node?.outputs ?? [];
  if (node === undefined || draft.isOutput(output)) return;
  const readers = draft.readers(output);
  const convs = readers.flatMap((reader) => readConv(draft, reader) ?? []);
  if (readers.length === 0 || convs.length !== readers.length) return;
  if (!convs.every((conv) => conv.node.inputs.indexOf(output) === 0 && conv.node.inputs.lastIndexOf(output) === 0))
    return;
  const affine = affineOf(draft, node, Math.min(...convs.map(({ shape }) => shape.length)));
  const one = affine && scalars(affine);
  if (affine === undefined || one === undefined) return;
  const { scale, shift } = one;
  if (shift !== 0 && !convs.every((conv) => padsNothing(conv.node))) return;
  for (const conv of convs) {
    const [channels = 0] = conv.shape;
    const perChannel = conv.weight.length / channels;
    const weight = conv.weight.map((value) => value * scale);
    const bias = shift === 0 ? conv.bias : biasWith(conv, { perChannel, shift });
    writeConv(draft, conv, { weight, bias, input: affine.input });
  }
  draft.remove(node.name);
}

function biasWith(conv: Conv, { perChannel, shift }: { perChannel: number; shift: number }): Float64Array {
  return Float64Array.from({ length: conv.shape[0] ?? 0 }, (_, channel) => {
    const weights = conv.weight.subarray(channel * perChannel, (channel + 1) * perChannel);
    return (conv.bias?.[channel] ?? 0) + shift * weights.reduce((sum, value) => sum + value, 0);
  });
}

/** The pair of a map that has one for all channels. */
function scalars({ scale, shift }: Affine): { scale: number; shift: number } | undefined {
  if (scale.length !== 1 || shift.length !== 1) return undefined;
  const [a = NaN, b = NaN] = [scale[0], shift[0]];
  return Number.isFinite(a) && Number.isFinite(b) ? { scale: a, shift: b } : undefined;
}

function spread(values: readonly number[], length: number): readonly number[] {
  return values.length === length ? values : Array.from({ length }, () => values[0] ?? 0);
}

function padsNothing({ attributes }: Node): boolean {
  const pads = attributes['pads']?.value;
  const mode = attributes['auto_pad']?.value ?? 'NOTSET';
  if (mode === 'VALID') return true;
  return mode === 'NOTSET' && (pads === undefined || (Array.isArray(pads) && pads.every((pad) => pad === 0)));
}

/** A Conv whose weights are constants. Sums and products are double, each fold rounds once to float32. */
interface Conv {
  readonly node: Node;
  readonly shape: readonly number[];
  readonly weight: Float64Array;
  readonly bias: Float64Array | undefined;
}

function readConv(draft: Draft, node: Node): Conv | undefined {
  if (node.op !== 'Conv' || node.domain !== '') return undefined;
  const weight = draft.constant(node.inputs[1]);
  const bias = draft.constant(node.inputs[2]);
  const hasBias = (node.inputs[2] ?? '') !== '';
  if (weight === undefined || weight.data.length === 0 || (hasBias && bias === undefined)) return undefined;
  return {
    node,
    shape: weight.shape,
    weight: Float64Array.from(weight.data),
    bias: bias && Float64Array.from(bias.data),
  };
}

interface ConvChange {
  readonly weight: Float64Array;
  readonly bias: Float64Array | undefined;
  readonly input?: string;
  readonly output?: string | undefined;
}

function writeConv(draft: Draft, { node, shape }: Conv, change: ConvChange): void {
  const { weight, bias, input = node.inputs[0] ?? '', output = node.outputs[0] ?? '' } = change;
  const inputs = [input, draft.addWeight(`${node.name}/weight`, tensor('float32', shape, Float32Array.from(weight)))];
  if (bias !== undefined) {
    inputs.push(draft.addWeight(`${node.name}/bias`, tensor('float32', [bias.length], Float32Array.from(bias))));
  }
  draft.replace({ ...node, inputs, outputs: [output] });
}
