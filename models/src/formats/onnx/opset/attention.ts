/**
 * Attention, RotaryEmbedding, RMSNormalization, Swish and TensorScatter came in opsets 23 and 24. Each is written with operators of
 * the internal opset, by its text in https://github.com/onnx/onnx/blob/main/docs/Operators.md, so that gradients and every runtime follow.
 */
import type { Node } from '../../../graph/graph.js';
import { attribute, cannotConvert } from './attributes.js';
import { maskedScores } from './attention-mask.js';
import type { ConversionContext, Family } from './history.js';
import { Steps } from './steps.js';

export const attention: Family = {
  Attention: { versions: [23, 24, 25], lower: scaledDotProduct },
  RMSNormalization: { versions: [23], lower: rootMeanSquare },
  RotaryEmbedding: { versions: [23], lower: rotation },
  Swish: { versions: [24], lower: swish },
  TensorScatter: { versions: [24], lower: cacheUpdate },
};

/** Stages of the scores that the fourth output may show. */
const stages = ['product', 'capped', 'biased', 'probabilities'] as const;

function scaledDotProduct(node: Node, context: ConversionContext): Node[] {
  const steps = new Steps(node, context);
  const [query = '', key = '', value = '', mask = '', pastKey = '', pastValue = '', lengths = ''] = node.inputs;
  const [output = '', presentKey = '', presentValue = '', shown = ''] = node.outputs;
  const heads = { query: attribute(node, 'q_num_heads', 'int'), key: attribute(node, 'kv_num_heads', 'int') };
  const flat = context.rank(query) !== 4 && heads.query !== undefined;
  const split = (name: string, count = 0): string =>
    flat
      ? steps.add('Transpose', [steps.add('Reshape', [name, steps.ints('heads', [0, 0, count, -1])])], {
          perm: [0, 2, 1, 3],
        })
      : name;
  const q = split(query, heads.query);
  const cached = (past: string, name: string, present: string): string => {
    const fresh = split(name, heads.key);
    const all = past === '' ? fresh : steps.add('Concat', [past, fresh], { axis: 2 });
    if (present !== '') steps.addAs(present, 'Identity', [all]);
    return all;
  };
  const keys = cached(pastKey, key, presentKey);
  const values = cached(pastValue, value, presentValue);
  const repeat = repeatHeads({ node, context, steps, q, flat, heads, keys });
  const product = steps.add(
    'MatMul',
    scaled(node, steps, q, steps.add('Transpose', [repeat(keys)], { perm: [0, 1, 3, 2] })),
  );
  const cap = attribute(node, 'softcap', 'float') ?? 0;
  const capped = cap > 0 ? softcap(steps, product, cap) : product;
  const { biased, allMasked } = maskedScores({ node, context, steps, query, capped, keys, mask, pastKey, lengths });
  const precision = attribute(node, 'softmax_precision', 'int');
  const unless = (rows: string): string =>
    allMasked === undefined ? rows : steps.add('Where', [allMasked, steps.scalarLike('zero', 0, query), rows]);
  // Twice: a row of minus infinities would give NaN, and so would its gradient, though nothing reads the row.
  const scores = unless(biased);
  const precise = precision === undefined ? scores : steps.add('Cast', [scores], { to: precision });
  const softmax = steps.add('Softmax', [precise], { axis: -1 });
  const probabilities = unless(precision === undefined ? softmax : steps.add('CastLike', [softmax, query]));
  const stage = stages[attribute(node, 'qk_matmul_output_mode', 'int') ?? 0] ?? 'product';
  if (shown !== '') steps.addAs(shown, 'Identity', [{ product, capped, biased, probabilities }[stage]]);
  const attended = [probabilities, repeat(values)];
  if (!flat) steps.addAs(output, 'MatMul', attended);
  else {
    const joined = steps.add('Transpose', [steps.add('MatMul', attended)], { perm: [0, 2, 1, 3] });
    steps.addAs(output, 'Reshape', [joined, steps.ints('joined', [0, 0, -1])]);
  }
  return steps.nodes;
}

/** Both factors by the root of the scale, so that their product does not overflow first. */
function scaled(node: Node, steps: Steps, q: string, k: string): [string, string] {
  const given = attribute(node, 'scale', 'float');
  if (given !== undefined && given !== 0) {
    const root = steps.scalarLike('scale', Math.sqrt(Math.abs(given)), q);
    const signed = given < 0 ? steps.add('Neg', [q]) : q;
    return [steps.add('Mul', [signed, root]), steps.add('Mul', [k, root])];
  }
  const size = steps.add('Cast', [steps.add('Shape', [q], { start: 3 })], { to: 1 });
  const root = steps.add('CastLike', [steps.add('Sqrt', [steps.add('Sqrt', [size])]), q]);
  return [steps.add('Div', [q, root]), steps.add('Div', [k, root])];
}

function softcap(steps: Steps, scores: string, cap: number): string {
  const limit = steps.scalarLike('softcap', cap, scores);
  return steps.add('Mul', [steps.add('Tanh', [steps.add('Div', [scores, limit])]), limit]);
}

interface Heads {
  readonly node: Node;
  readonly context: ConversionContext;
  readonly steps: Steps;
  readonly q: string;
  readonly keys: string;
  readonly flat: boolean;
  readonly heads: { readonly query: number | undefined; readonly key: number | undefined };
}

/** Each head of keys and values as often as queries share it: [h0, h0, h1, h1, ...]. */
function repeatHeads({ node, context, steps, q, keys, flat, heads }: Heads): (name: string) => string {
  const [query = '', key = ''] = node.inputs;
  const own = flat ? heads.query : context.size(query, 1);
  const shared = flat ? heads.key : context.size(key, 1);
  if (own !== undefined && own === shared) return (name) => name;
  if (own !== undefined && shared !== undefined) {
    if (shared === 0 || own % shared !== 0)
      throw cannotConvert(node, `${own} heads of queries share ${shared} of keys`);
    const order = steps.ints(
      'shared',
      Array.from({ length: own }, (_, i) => Math.floor((i * shared) / own)),
    );
    return (name) => steps.add('Gather', [name, order], { axis: 1 });
  }
  const count = (name: string): string =>
    steps.add('Squeeze', [steps.add('Shape', [name], { start: 1, end: 2 }), steps.ints('first', [0])]);
  const [all, few] = [count(q), count(keys)];
  const range = steps.add('Range', [steps.int('zero', 0), all, steps.int('one', 1)]);
  const order = steps.add('Div', [range, steps.add('Div', [all, few])]);
  return (name) => steps.add('Gather', [name, order], { axis: 1 });
}

function rootMeanSquare(node: Node, context: ConversionContext): Node[] {
  const steps = new Steps(node, context);
  const [x = '', scale = ''] = node.inputs;
  const axis = attribute(node, 'axis', 'int') ?? -1;
  const rank = context.rank(x);
  if (axis >= 0 && rank === undefined) throw cannotConvert(node, `the rank of '${x}' is not known`);
  const from = axis < 0 ? axis : axis - (rank ?? 0);
  const axes = steps.ints(
    'axes',
    Array.from({ length: -from }, (_, i) => from + i),
  );
  const wide = steps.asFloat32(x);
  const mean = steps.add('ReduceMean', [steps.add('Mul', [wide, wide]), axes]);
  const root = steps.add('Sqrt', [
    steps.add('Add', [mean, steps.float32('epsilon', attribute(node, 'epsilon', 'float') ?? 1e-5)]),
  ]);
  const normal = steps.castLike(steps.add('Div', [wide, root]), x);
  steps.addAs(node.outputs[0] ?? '', 'Mul', [normal, scale]);
  return steps.nodes;
}

function rotation(node: Node, context: ConversionContext): Node[] {
  const steps = new Steps(node, context);
  const [x = '', cosines = '', sines = '', positions = ''] = node.inputs;
  const count = attribute(node, 'num_heads', 'int') ?? 0;
  const rank = context.rank(x) ?? (count === 0 ? 4 : undefined);
  if (rank === undefined) throw cannotConvert(node, `the rank of '${x}' is not known`);
  const flat = rank === 3;
  const heads = flat ? steps.add('Reshape', [x, steps.ints('heads', [0, 0, count, -1])]) : x;
  const width = attribute(node, 'rotary_embedding_dim', 'int') ?? 0;
  const last = steps.ints('last', [-1]);
  const slice = (from: number, to: number, step = 1, of = heads): string =>
    steps.add('Slice', [of, steps.ints('from', [from]), steps.ints('to', [to]), last, steps.ints('step', [step])]);
  const turned = width === 0 ? heads : slice(0, width);
  const interleaved = attribute(node, 'interleaved', 'int') === 1;
  const [a, b] = interleaved
    ? [slice(0, end, 2, turned), slice(1, end, 2, turned)]
    : steps.addPair('Split', [turned], { axis: -1, num_outputs: 2 });
  const angle = (cache: string): string => {
    const row = positions === '' ? cache : steps.add('Gather', [cache, positions], { axis: 0 });
    return steps.add('Unsqueeze', [row, steps.ints('head', [flat ? 2 : 1])]);
  };
  const [cosine, sine] = [angle(cosines), angle(sines)];
  const product = (left: string, right: string): string => steps.add('Mul', [left, right]);
  const real = steps.add('Sub', [product(cosine, a), product(sine, b)]);
  const imaginary = steps.add('Add', [product(sine, a), product(cosine, b)]);
  const pairs = interleaved ? [real, imaginary].map((part) => steps.add('Unsqueeze', [part, last])) : [real, imaginary];
  const joined = steps.add('Concat', pairs, { axis: -1 });
  const whole = interleaved ? steps.add('Reshape', [joined, steps.ints('pairs', [0, 0, 0, -1])]) : joined;
  const all = width === 0 ? whole : steps.add('Concat', [whole, slice(width, end)], { axis: -1 });
  if (flat) steps.addAs(node.outputs[0] ?? '', 'Reshape', [all, steps.ints('joined', [0, 0, -1])]);
  else steps.addAs(node.outputs[0] ?? '', 'Identity', [all]);
  return steps.nodes;
}

/** Past every size. */
const end = 2 ** 31 - 1;

function swish(node: Node, context: ConversionContext): Node[] {
  const steps = new Steps(node, context);
  const [x = ''] = node.inputs;
  const alpha = attribute(node, 'alpha', 'float') ?? 1;
  const inner = alpha === 1 ? x : steps.add('Mul', [x, steps.scalarLike('alpha', alpha, x)]);
  steps.addAs(node.outputs[0] ?? '', 'Mul', [x, steps.add('Sigmoid', [inner])]);
  return steps.nodes;
}

/** Rows of the cache from an index of each example on, around its end where the mode says so. */
function cacheUpdate(node: Node, context: ConversionContext): Node[] {
  const steps = new Steps(node, context);
  const [cache = '', update = '', indices = ''] = node.inputs;
  const rank = context.rank(update) ?? context.rank(cache);
  if (rank === undefined) throw cannotConvert(node, `the rank of '${update}' is not known`);
  const given = attribute(node, 'axis', 'int') ?? -2;
  const axis = given < 0 ? given + rank : given;
  const size = (name: string): string =>
    steps.add('Squeeze', [steps.add('Shape', [name], { start: axis, end: axis + 1 }), steps.ints('first', [0])]);
  const steps0 = steps.add('Range', [steps.int('zero', 0), size(update), steps.int('one', 1)]);
  const trailing = steps.ints(
    'trailing',
    Array.from({ length: rank - 1 - axis }, (_, i) => i + 1),
  );
  const along = axis === rank - 1 ? steps0 : steps.add('Unsqueeze', [steps0, trailing]);
  const others = steps.ints(
    'others',
    Array.from({ length: rank - 1 }, (_, i) => i + 1),
  );
  const starts = indices === '' ? undefined : steps.add('Unsqueeze', [indices, others]);
  const rows = starts === undefined ? along : steps.add('Add', [starts, along]);
  const around = attribute(node, 'mode', 'string') === 'circular' ? steps.add('Mod', [rows, size(cache)]) : rows;
  const all = steps.add('Expand', [around, steps.add('Shape', [update])]);
  steps.addAs(node.outputs[0] ?? '', 'ScatterElements', [cache, all, update], { axis });
  return steps.nodes;
}
