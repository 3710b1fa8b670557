/** If, Loop and Scan: https://onnx.ai/onnx/operators/onnx__Loop.html. A looped training step keeps its weights on the device. */
import type { Graph, Node } from '../../../graph/graph.js';
import { axisOf, intOf, intsOf, malformed } from '../../../operators/site.js';
import { numbersAt, valueAt, type Call, type Kernels } from '../kernel.js';
import { Value } from '../value.js';

function graphOf(node: Node, name: string): Graph {
  const attribute = node.attributes[name];
  if (attribute?.kind !== 'graph') throw malformed(node, `has no graph '${name}'`);
  return attribute.value;
}

/** Rows of one output in the order of the steps; without a step there is no row, of a shape that nobody knows. */
function stacked(call: Call, rows: readonly Value[], { dtype, shape }: Graph['outputs'][number]): Value {
  const { tf } = call;
  const [first] = rows;
  if (first !== undefined) return Value.onDevice(first.dtype, tf.stack(rows.map((row) => row.tensor(tf))));
  const sizes = (shape ?? []).map((size) => (typeof size === 'number' ? size : 0));
  // Of no element: what it would have held matters to nobody.
  return Value.ofNumbers(
    tf,
    { dtype: dtype === 'int64' || dtype === 'bool' ? dtype : 'float32', shape: [0, ...sizes] },
    [],
  );
}

function loop(call: Call): readonly Value[] {
  const { tf, node } = call;
  const body = graphOf(node, 'body');
  const count = numbersAt(call, 0)?.[0] ?? Infinity;
  const names = node.inputs.slice(2);
  let carried = names.map((_, i) => valueAt(call, i + 2));
  let goesOn = (numbersAt(call, 1)?.[0] ?? 1) !== 0;
  const scans: Value[][] = body.outputs.slice(1 + names.length).map(() => []);
  const made = new Set<Value>();
  for (let step = 0; step < count && goesOn; step++) {
    const place = Value.ofNumbers(tf, { dtype: 'int64', shape: [] }, [step]);
    const condition = Value.ofNumbers(tf, { dtype: 'bool', shape: [] }, [1]);
    const [next, ...outputs] = call.runGraph(body, [place, condition, ...carried]);
    goesOn = (next?.numbers()[0] ?? 0) !== 0;
    for (const value of [next, place, condition]) value?.dispose();
    for (const value of carried) if (made.delete(value)) value.dispose();
    carried = outputs.slice(0, names.length);
    for (const value of carried) made.add(value);
    for (const [i, rows] of scans.entries()) rows.push(...outputs.slice(names.length + i, names.length + i + 1));
  }
  const collected = scans.map((rows, i) =>
    stacked(call, rows, body.outputs[1 + names.length + i] ?? { name: '', dtype: 'float32' }),
  );
  for (const value of scans.flat()) value.dispose();
  return [...carried, ...collected];
}

/** https://onnx.ai/onnx/operators/onnx__Scan.html: the graph once for each step along an axis of its scanned inputs. */
function scan(call: Call): readonly Value[] {
  const { tf, node, inputs } = call;
  const body = graphOf(node, 'body');
  const scannedCount = intOf(node, 'num_scan_inputs', 0);
  const carriedCount = inputs.length - scannedCount;
  const of = (name: string, i: number): number => intsOf(node, name)?.[i] ?? 0;
  const rows = Array.from({ length: scannedCount }, (_, i) => {
    const value = valueAt(call, carriedCount + i);
    const axis = axisOf(node, of('scan_input_axes', i), value.shape.length);
    const steps = tf.unstack(value.tensor(tf), axis).map((step) => Value.onDevice(value.dtype, step));
    return of('scan_input_directions', i) === 1 ? steps.reverse() : steps;
  });
  let carried = Array.from({ length: carriedCount }, (_, i) => valueAt(call, i));
  const made = new Set<Value>();
  const scans: Value[][] = body.outputs.slice(carriedCount).map(() => []);
  for (let step = 0; step < (rows[0]?.length ?? 0); step++) {
    const outputs = call.runGraph(body, [...carried, ...rows.flatMap((each) => each.slice(step, step + 1))]);
    for (const value of carried) if (made.delete(value)) value.dispose();
    carried = outputs.slice(0, carriedCount);
    for (const value of carried) made.add(value);
    for (const [i, each] of scans.entries()) each.push(...outputs.slice(carriedCount + i, carriedCount + i + 1));
  }
  const collected = scans.map((each, i) => {
    const ordered = of('scan_output_directions', i) === 1 ? each.toReversed() : each;
    const value = stacked(call, ordered, body.outputs[carriedCount + i] ?? { name: '', dtype: 'float32' });
    const axis = axisOf(node, of('scan_output_axes', i), value.shape.length);
    const perm = [...value.shape.keys()].slice(1).toSpliced(axis, 0, 0);
    return axis === 0 ? value : Value.onDevice(value.dtype, tf.transpose(value.tensor(tf), perm));
  });
  for (const value of scans.flat()) value.dispose();
  return [...carried, ...collected];
}

export const controlFlowKernels: Kernels = {
  If: (call) => {
    const taken = (numbersAt(call, 0)?.[0] ?? 0) !== 0;
    return call.runGraph(graphOf(call.node, taken ? 'then_branch' : 'else_branch'), []);
  },
  Loop: loop,
  Scan: scan,
};
