/** Recurrent networks, step by step: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html */
import type { Node } from '../../../../graph/graph.js';
import { floatOf, intOf, stringOf } from '../../../../operators/site.js';
import { numbersAt, optionalAt, tensorAt, type Call, type Kernels } from '../../kernel.js';
import { Value, type DeviceArray, type TensorFlow } from '../../value.js';
import { product } from './product.js';
import { activationOf, type Activation } from './recurrent-activations.js';
import { reversedSteps } from '../moving/selecting.js';

/** The weights of one direction. */
interface Cell {
  /** Turned, so that a step is x W: [inputs, gates * hidden], [hidden, gates * hidden]. */
  readonly w: DeviceArray;
  readonly r: DeviceArray;
  /** [gates * hidden] each. */
  readonly inputBias: DeviceArray;
  readonly stateBias: DeviceArray;
  /** Peepholes of an LSTM: [3 * hidden]. */
  readonly peepholes: DeviceArray | undefined;
  readonly activations: readonly Activation[];
  readonly hidden: number;
  readonly node: Node;
}

/** The states after a step: h, and c of an LSTM. */
type States = readonly DeviceArray[];

/** @param fromInput [batch, gates * hidden], without the bias of the state */
type Advance = (tf: TensorFlow, cell: Cell, step: { fromInput: DeviceArray; states: States }) => States;

/** The i-th of some vectors side by side. */
const part = (tf: TensorFlow, x: DeviceArray, { i, size }: { i: number; size: number }): DeviceArray =>
  tf.slice(x, [...x.shape.slice(0, -1).map(() => 0), i * size], [...x.shape.slice(0, -1), size]);

const rnn: Advance = (tf, { r, stateBias, activations: [f] }, { fromInput, states: [h] }) => {
  if (h === undefined || f === undefined) return [];
  return [f(tf, tf.add(tf.add(fromInput, product(tf, h, r)), stateBias))];
};

/** Gates z, r, h. */
const gru: Advance = (tf, { r, stateBias, activations: [f, g], hidden, node }, { fromInput, states: [h] }) => {
  if (h === undefined || f === undefined || g === undefined) return [];
  const of = (x: DeviceArray, i: number, size = hidden): DeviceArray => part(tf, x, { i, size });
  const fromState = (i: number, state: DeviceArray): DeviceArray =>
    tf.add(product(tf, state, of(r, i)), of(stateBias, i));
  const update = f(tf, tf.add(of(fromInput, 0), fromState(0, h)));
  const reset = f(tf, tf.add(of(fromInput, 1), fromState(1, h)));
  const inner =
    intOf(node, 'linear_before_reset', 0) === 1 ? tf.mul(reset, fromState(2, h)) : fromState(2, tf.mul(reset, h));
  const candidate = g(tf, tf.add(of(fromInput, 2), inner));
  return [tf.add(tf.mul(tf.sub(1, update), candidate), tf.mul(update, h))];
};

/** Gates i, o, f, c; peepholes i, o, f. */
const lstm: Advance = (tf, cell, { fromInput, states: [h, c] }) => {
  const { r, stateBias, peepholes, activations, hidden, node } = cell;
  const [f, g, out] = activations;
  if (h === undefined || c === undefined || f === undefined || g === undefined || out === undefined) return [];
  const gates = tf.add(tf.add(fromInput, product(tf, h, r)), stateBias);
  const gate = (i: number): DeviceArray => part(tf, gates, { i, size: hidden });
  const seen = (i: number, state: DeviceArray): DeviceArray =>
    peepholes === undefined ? gate(i) : tf.add(gate(i), tf.mul(part(tf, peepholes, { i, size: hidden }), state));
  const input = f(tf, seen(0, c));
  const forget = intOf(node, 'input_forget', 0) === 1 ? tf.sub(1, input) : f(tf, seen(2, c));
  const next = tf.add(tf.mul(forget, c), tf.mul(input, g(tf, gate(3))));
  return [tf.mul(f(tf, seen(1, next)), out(tf, next)), next];
};

interface Kind {
  readonly advance: Advance;
  readonly gates: number;
  readonly states: number;
  readonly activations: readonly string[];
}

const kinds: Readonly<Record<'RNN' | 'GRU' | 'LSTM', Kind>> = {
  RNN: { advance: rnn, gates: 1, states: 1, activations: ['Tanh'] },
  GRU: { advance: gru, gates: 3, states: 1, activations: ['Sigmoid', 'Tanh'] },
  LSTM: { advance: lstm, gates: 4, states: 2, activations: ['Sigmoid', 'Tanh', 'Tanh'] },
};

function cellOf(call: Call, direction: number, { gates, activations }: Kind): Cell {
  const { tf, node } = call;
  const hidden = tensorAt(call, 2).shape[2] ?? 0;
  const own = (x: DeviceArray): DeviceArray =>
    tf.squeeze(tf.slice(x, [direction, ...x.shape.slice(1).map(() => 0)], [1, ...x.shape.slice(1)]), [0]);
  const bias = optionalAt(call, 3);
  const biases = bias === undefined ? tf.zeros([2 * gates * hidden]) : own(bias);
  const given = node.attributes['activations'];
  const names = given?.kind === 'strings' ? given.value : [...activations, ...activations];
  const peepholes = gates === 4 ? optionalAt(call, 7) : undefined;
  const clip = node.attributes['clip'] === undefined ? undefined : floatOf(node, 'clip', 0);
  return {
    w: tf.transpose(own(tensorAt(call, 1))),
    r: tf.transpose(own(tensorAt(call, 2))),
    inputBias: part(tf, biases, { i: 0, size: gates * hidden }),
    stateBias: part(tf, biases, { i: 1, size: gates * hidden }),
    peepholes: peepholes === undefined ? undefined : own(peepholes),
    activations: activations.map((_, i) =>
      activationOf(node, { names, place: direction * activations.length + i, clip }),
    ),
    hidden,
    node,
  };
}

interface Passed {
  /** h of every step, [time, batch, hidden]. */
  readonly all: DeviceArray;
  readonly last: States;
}

/** One direction over all steps; an example that has ended gives zeros and keeps its state. */
function pass(
  call: Call,
  x: DeviceArray,
  run: { cell: Cell; kind: Kind; states: States; lengths: readonly number[] | undefined },
): Passed {
  const { tf } = call;
  const { cell, kind, lengths } = run;
  const [steps = 0, batch = 0, inputs = 0] = x.shape;
  const rows = product(tf, tf.reshape(x, [-1, inputs]), cell.w);
  const fromInput = tf.unstack(tf.reshape(tf.add(rows, cell.inputBias), [steps, batch, -1]));
  let { states } = run;
  const all = fromInput.map((each, step) => {
    const next = kind.advance(tf, cell, { fromInput: each, states });
    const runs = lengths?.map((length) => (step < length ? 1 : 0));
    if (runs === undefined || runs.every((mark) => mark === 1)) {
      states = next;
      return next[0] ?? each;
    }
    const marks = tf.tensor2d(runs, [batch, 1], 'float32');
    states = next.map((value, i) => tf.add(tf.mul(value, marks), tf.mul(states[i] ?? value, tf.sub(1, marks))));
    return tf.mul(next[0] ?? each, marks);
  });
  return { all: tf.stack(all), last: states };
}

function recurrent(call: Call, kind: Kind): readonly Value[] {
  const { tf, node } = call;
  const batchFirst = intOf(node, 'layout', 0) === 1;
  const swapped = (x: DeviceArray): DeviceArray => (batchFirst ? tf.transpose(x, [1, 0, 2]) : x);
  const x = swapped(tensorAt(call, 0));
  const [steps = 0, batch = 0] = x.shape;
  const direction = stringOf(node, 'direction', 'forward');
  const lengths = numbersAt(call, 4);
  const reversed = (value: DeviceArray): DeviceArray =>
    lengths === undefined ? tf.reverse(value, 0) : reversedSteps(call, value, lengths);
  const passes = (direction === 'bidirectional' ? ['forward', 'reverse'] : [direction]).map((way, i) => {
    const cell = cellOf(call, i, kind);
    const states = Array.from({ length: kind.states }, (_, state) => {
      const given = optionalAt(call, 5 + state);
      return given === undefined
        ? tf.zeros([batch, cell.hidden])
        : tf.squeeze(tf.slice(swapped(given), [i, 0, 0], [1, batch, cell.hidden]), [0]);
    });
    const passed = pass(call, way === 'reverse' ? reversed(x) : x, { cell, kind, states, lengths });
    return way === 'reverse' ? { ...passed, all: reversed(passed.all) } : passed;
  });
  const hidden = passes[0]?.all.shape[2] ?? 0;
  const all = tf.stack(
    passes.map((each) => each.all),
    1,
  );
  const y = batchFirst ? tf.transpose(all, [2, 0, 1, 3]) : tf.reshape(all, [steps, passes.length, batch, hidden]);
  const last = Array.from({ length: kind.states }, (_, state) =>
    swapped(tf.stack(passes.flatMap((each) => each.last[state] ?? []))),
  );
  return [y, ...last].map((each) => Value.onDevice('float32', each));
}

export const recurrentKernels: Kernels = {
  RNN: (call) => recurrent(call, kinds.RNN),
  GRU: (call) => recurrent(call, kinds.GRU),
  LSTM: (call) => recurrent(call, kinds.LSTM),
};
