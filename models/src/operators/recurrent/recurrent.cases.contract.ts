/** For specs: the cases of recurrent layers whose gradients are compared, and their float64 references. */
import type { Node } from '../../graph/graph.js';
import { make, none, pick, sum, type Array64, type References } from '../array64.contract.js';
import { constant, type ConstantInput, type GradientCase } from '../central-differences.contract.js';
import { intOf, stringOf } from '../site.js';

const gatesOf: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };

interface Layer {
  readonly steps?: number;
  readonly directions?: 1 | 2;
  readonly direction?: string;
  readonly lengths?: readonly number[];
  /** Inputs by place that are left out. */
  readonly without?: readonly number[];
  readonly peepholes?: boolean;
  readonly more?: Partial<GradientCase>;
}

/** A layer of 2 inputs and 3 hidden values over 2 examples. */
function layer(op: string, given: Layer = {}): GradientCase {
  const { steps = 4, direction = 'forward', lengths, without = [], peepholes = false, more = {} } = given;
  const [directions, gates] = [direction === 'bidirectional' ? 2 : 1, gatesOf[op] ?? 1];
  const state = [directions, 2, 3];
  const shapes = [
    [steps, 2, 2],
    [directions, gates * 3, 2],
    [directions, gates * 3, 3],
    [directions, gates * 6],
    [],
    state,
    ...(op === 'LSTM' ? [state] : []),
    ...(op === 'LSTM' && peepholes ? [[directions, 9]] : []),
  ];
  const left: Record<number, ConstantInput | 'left out'> = {
    4: lengths === undefined ? 'left out' : constant('int32', [2], lengths),
    ...Object.fromEntries(
      without.filter((place) => place < shapes.length).map((place) => [place, 'left out' as const]),
    ),
  };
  const { attributes, ...rest } = more;
  return {
    op,
    shapes,
    constants: left,
    attributes: { hidden_size: 3, direction, ...attributes },
    range: [-1, 1],
    outputs: op === 'LSTM' ? 3 : 2,
    ...rest,
  };
}

export const recurrentCases: readonly GradientCase[] = [
  ...['LSTM', 'GRU', 'RNN'].flatMap((op) => [
    layer(op),
    layer(op, { direction: 'reverse' }),
    layer(op, { direction: 'bidirectional', steps: 3 }),
    layer(op, { without: [3, 5, 6] }),
    layer(op, { steps: 1, more: { note: 'of one step' } }),
    layer(op, { lengths: [4, 2], more: { note: 'over sequences of 4 and 2 steps' } }),
    layer(op, { lengths: [1, 3], direction: 'bidirectional', more: { note: 'over sequences of 1 and 3 steps' } }),
    layer(op, { more: { projected: [0], note: 'of which all states are used' } }),
    layer(op, { more: { projected: [1], note: 'of which the last state is used' } }),
    layer(op, { direction: 'bidirectional', more: { symbols: { 0: ['length', 'batch', 2] } } }),
    layer(op, { direction: 'reverse', steps: 3, without: [5, 6], more: { symbols: { 0: [3, 'batch', 2] } } }),
  ]),
  ...['forward', 'bidirectional'].flatMap((direction) => [
    layer('GRU', { direction, more: { attributes: { linear_before_reset: 1 } } }),
    layer('GRU', { direction, lengths: [4, 2], more: { attributes: { linear_before_reset: 1 } } }),
    layer('LSTM', { direction, peepholes: true, more: { note: 'with peepholes' } }),
  ]),
  layer('GRU', { more: { attributes: { linear_before_reset: 1 }, symbols: { 0: ['length', 2, 2] } } }),
  layer('RNN', {
    steps: 66,
    without: [3, 5],
    more: { range: [-0.5, 0.5], note: 'of more steps than are written out' },
  }),
  layer('LSTM', { peepholes: true, lengths: [2, 4], more: { note: 'with peepholes and lengths' } }),
  layer('LSTM', { peepholes: true, more: { symbols: { 0: ['length', 2, 2] }, note: 'with peepholes' } }),
];

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** What a direction's cell sees: inputs and state of one example, weights by row, bias by gate. */
interface Cell {
  readonly x: readonly number[];
  readonly h: readonly number[];
  readonly c: readonly number[];
  readonly row: (weight: 'w' | 'r', row: number) => readonly number[];
  readonly bias: (place: number) => number;
  readonly peephole: (place: number) => number;
  readonly resetLast: boolean;
}

interface State {
  readonly h: readonly number[];
  readonly c: readonly number[];
}

const dot = (a: readonly number[], b: readonly number[]): number => sum(a.map((each, i) => each * (b[i] ?? NaN)));

type Run = (cell: Cell) => State;

const hidden = (cell: Cell): number[] => [...cell.h.keys()];

const rnn: Run = (cell) => {
  const n = cell.h.length;
  const h = hidden(cell).map((j) =>
    Math.tanh(dot(cell.row('w', j), cell.x) + dot(cell.row('r', j), cell.h) + cell.bias(j) + cell.bias(n + j)),
  );
  return { h, c: [] };
};

const gru: Run = (cell) => {
  const n = cell.h.length;
  const input = (gate: number, j: number): number => dot(cell.row('w', gate * n + j), cell.x) + cell.bias(gate * n + j);
  const state = (gate: number, j: number, h = cell.h): number =>
    dot(cell.row('r', gate * n + j), h) + cell.bias((3 + gate) * n + j);
  const z = hidden(cell).map((j) => sigmoid(input(0, j) + state(0, j)));
  const r = hidden(cell).map((j) => sigmoid(input(1, j) + state(1, j)));
  const reset = cell.h.map((each, j) => each * (r[j] ?? NaN));
  const inner = (j: number): number => (cell.resetLast ? (r[j] ?? NaN) * state(2, j) : state(2, j, reset));
  const candidate = hidden(cell).map((j) => Math.tanh(input(2, j) + inner(j)));
  return { h: cell.h.map((each, j) => (1 - (z[j] ?? NaN)) * (candidate[j] ?? NaN) + (z[j] ?? NaN) * each), c: [] };
};

const lstm: Run = (cell) => {
  const n = cell.h.length;
  const before = (gate: number, j: number): number => {
    const place = gate * n + j;
    return (
      dot(cell.row('w', place), cell.x) +
      dot(cell.row('r', place), cell.h) +
      cell.bias(place) +
      cell.bias(4 * n + place)
    );
  };
  const at = (values: readonly number[], j: number): number => values[j] ?? NaN;
  const i = hidden(cell).map((j) => sigmoid(before(0, j) + cell.peephole(j) * at(cell.c, j)));
  const f = hidden(cell).map((j) => sigmoid(before(2, j) + cell.peephole(2 * n + j) * at(cell.c, j)));
  const c = hidden(cell).map((j) => at(f, j) * at(cell.c, j) + at(i, j) * Math.tanh(before(3, j)));
  const o = hidden(cell).map((j) => sigmoid(before(1, j) + cell.peephole(n + j) * at(c, j)));
  return { h: hidden(cell).map((j) => at(o, j) * Math.tanh(at(c, j))), c };
};

/** Each direction and example by itself, step by step as far as its sequence goes. */
function recurrent(node: Node, inputs: readonly (Array64 | undefined)[], run: Run): Array64[] {
  const [x = none, w = none, r = none, b, lengths, h0, c0, p] = inputs;
  const [steps = 0, batch = 0, width = 0] = x.shape;
  const [directions = 1, , n = 0] = r.shape;
  const direction = stringOf(node, 'direction', 'forward');
  const all = new Map<string, State>();
  const last = new Map<string, State>();
  for (let d = 0; d < directions; d++) {
    for (let k = 0; k < batch; k++) {
      const length = lengths?.data[k] ?? steps;
      const vector = (value: Array64 | undefined): number[] =>
        Array.from({ length: n }, (_, j) => (value === undefined ? 0 : pick(value, [d, k, j])));
      let state: State = { h: vector(h0), c: vector(c0) };
      for (let t = 0; t < length; t++) {
        const time = d === 1 || direction === 'reverse' ? length - 1 - t : t;
        state = run({
          ...state,
          x: Array.from({ length: width }, (_, i) => pick(x, [time, k, i])),
          row: (which, row) => {
            const [{ shape, data }, size] = which === 'w' ? [w, width] : [r, n];
            const first = (d * (shape[1] ?? 1) + row) * size;
            return data.slice(first, first + size);
          },
          bias: (place) => b?.data[d * (b.shape[1] ?? 1) + place] ?? 0,
          peephole: (place) => p?.data[d * (p.shape[1] ?? 1) + place] ?? 0,
          resetLast: intOf(node, 'linear_before_reset', 0) === 1,
        });
        all.set(`${time} ${d} ${k}`, state);
      }
      last.set(`${d} ${k}`, state);
    }
  }
  const lasts = (which: 'h' | 'c'): Array64 =>
    make([directions, batch, n], ([d, k, j = 0]) => last.get(`${d} ${k}`)?.[which][j] ?? NaN);
  return [
    make([steps, directions, batch, n], ([t, d, k, j = 0]) => all.get(`${t} ${d} ${k}`)?.h[j] ?? 0),
    lasts('h'),
    ...(node.op === 'LSTM' ? [lasts('c')] : []),
  ];
}

export const recurrentReferences: References = {
  LSTM: (node, inputs) => recurrent(node, inputs, lstm),
  GRU: (node, inputs) => recurrent(node, inputs, gru),
  RNN: (node, inputs) => recurrent(node, inputs, rnn),
};
