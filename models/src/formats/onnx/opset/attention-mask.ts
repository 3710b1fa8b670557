/** Which keys a query of Attention sees: a mask, the keys before it, a window around it, the keys that are no padding. */
import type { Node } from '../../../graph/graph.js';
import { attribute } from './attributes.js';
import type { ConversionContext } from './history.js';
import type { Steps } from './steps.js';

interface Scores {
  readonly node: Node;
  readonly context: ConversionContext;
  readonly steps: Steps;
  readonly query: string;
  /** The scores [batch, heads, queries, keys] before any mask. */
  readonly capped: string;
  /** The keys [batch, heads, keys, size], cached ones first. */
  readonly keys: string;
  readonly mask: string;
  readonly pastKey: string;
  /** Keys of each example that are no padding. */
  readonly lengths: string;
}

/** The scores with minus infinity where a key is not seen, and which rows see none: their probabilities are 0, not NaN. */
export function maskedScores(scores: Scores): { biased: string; allMasked: string | undefined } {
  const { steps, capped, mask, lengths, node, query } = scores;
  const window = [attribute(node, 'left_window_size', 'int') ?? -1, attribute(node, 'right_window_size', 'int') ?? -1];
  const parts: string[] = [];
  if (mask !== '') parts.push(biasOf(scores));
  parts.push(...seen(scores, window).map((condition) => unlessSeen(scores, condition)));
  const [first] = parts;
  if (first === undefined) return { biased: capped, allMasked: undefined };
  const bias = parts.slice(1).reduce((sum, part) => steps.add('Add', [sum, part]), first);
  const biased = steps.add('Add', [capped, steps.castLike(bias, query)]);
  if (mask === '' && lengths === '' && Math.max(...window) < 0) return { biased, allMasked: undefined };
  const most = steps.add('ReduceMax', [bias, steps.ints('last', [-1])]);
  return { biased, allMasked: steps.add('IsInf', [most], { detect_positive: 0 }) };
}

function unlessSeen({ steps }: Scores, condition: string): string {
  return steps.add('Where', [condition, steps.float32('seen', 0), steps.float32('hidden', -Infinity)]);
}

/** The mask as float32; one of truth values says what is seen, one that is too short hides the rest. */
function biasOf(scores: Scores): string {
  const { steps, mask, context } = scores;
  const type = context.elementType(mask);
  const bias = type === 'bool' ? unlessSeen(scores, mask) : steps.asFloat32(mask);
  const rank = context.rank(mask);
  const [keys, length] = [
    context.size(scores.node.inputs[1] ?? '', -2),
    rank === undefined ? undefined : context.size(mask, rank - 1),
  ];
  const short =
    scores.lengths !== '' || (scores.pastKey === '' && keys !== undefined && length !== undefined && length < keys);
  if (!short || rank === undefined) return bias;
  const missing = steps.add('Sub', [keyCount(scores), steps.add('Shape', [mask], { start: -1 })]);
  const none = steps.ints(
    'none',
    Array.from({ length: 2 * rank - 1 }, () => 0),
  );
  return steps.add('Pad', [
    bias,
    steps.add('Concat', [none, missing], { axis: 0 }),
    steps.float32('hidden', -Infinity),
  ]);
}

const keyCount = ({ steps, keys }: Scores): string => steps.add('Shape', [keys], { start: 2, end: 3 });

const queryCount = ({ steps, capped }: Scores): string => steps.add('Shape', [capped], { start: 2, end: 3 });

/** Conditions [queries, keys], or [batch, 1, queries, keys] where the examples have lengths of their own. */
function seen(scores: Scores, [left = -1, right = -1]: readonly number[]): string[] {
  const { steps, node, lengths } = scores;
  const causal = attribute(node, 'is_causal', 'int') === 1;
  if (!causal && left < 0 && right < 0 && lengths === '') return [];
  const key = upTo(scores, keyCount(scores));
  const all = (name: string): string => steps.add('Reshape', [name, steps.ints('batch', [-1, 1, 1, 1])]);
  const conditions = lengths === '' ? [] : [steps.add('Less', [key, all(lengths)])];
  if (!causal && left < 0 && right < 0) return conditions;
  const row = steps.add('Unsqueeze', [upTo(scores, queryCount(scores)), steps.ints('column', [1])]);
  const position = steps.add('Add', [row, before(scores, all)]);
  const limit = (size: number): string => steps.int('window', size);
  if (causal) conditions.push(steps.add('LessOrEqual', [key, position]));
  if (left >= 0) conditions.push(steps.add('LessOrEqual', [steps.add('Sub', [position, key]), limit(left)]));
  if (right >= 0) conditions.push(steps.add('LessOrEqual', [steps.add('Sub', [key, position]), limit(right)]));
  return conditions;
}

/** Keys before the first query: cached ones, or those of each example that are not the last queries. */
function before(scores: Scores, all: (name: string) => string): string {
  const { steps, pastKey, lengths } = scores;
  if (pastKey !== '') return steps.add('Shape', [pastKey], { start: 2, end: 3 });
  return lengths === '' ? steps.int('none', 0) : all(steps.add('Sub', [lengths, queryCount(scores)]));
}

function upTo({ steps }: Scores, count: string): string {
  const scalar = steps.add('Squeeze', [count, steps.ints('first', [0])]);
  return steps.add('Range', [steps.int('zero', 0), scalar, steps.int('one', 1)]);
}
