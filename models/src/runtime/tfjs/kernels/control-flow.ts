/** If and Loop: https://onnx.ai/onnx/operators/onnx__Loop.html. A looped training step keeps its weights on the device. */
import type { Graph, Node } from '../../../graph/graph.js';
import { malformed } from '../../../operators/site.js';
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

export const controlFlowKernels: Kernels = {
  If: (call) => {
    const taken = (numbersAt(call, 0)?.[0] ?? 0) !== 0;
    return call.runGraph(graphOf(call.node, taken ? 'then_branch' : 'else_branch'), []);
  },
  Loop: loop,
};
