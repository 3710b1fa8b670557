/** Mixed precision: matrix products in float16, all else in float32. Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740 */
import { dataTypeOf } from '../../formats/onnx/data-types.js';
import type { Model, Node, Value } from '../../graph/graph.js';
import type { TypeScope } from '../../operators/type-scope.js';

/** Operators whose time is in products that processors have units of half precision for. */
const halved: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv', 'ConvTranspose']);

/**
 * The model with casts around its matrix products; weights stay float32 tensors, so that an update below the resolution of float16 is not lost.
 * Each value is cast once. Values of other types than float32 stay. Knows types from `scope`, of the whole model.
 */
export function withFloat16(model: Model, scope: TypeScope): Model {
  const casts = new Map<string, string>();
  const nodes = model.graph.nodes.flatMap((node): Node[] => {
    const float = node.inputs.every((name) => name === '' || scope.of(name).dtype === 'float32');
    if (!halved.has(node.op) || node.domain !== '' || !float) return [node];
    const fresh = node.inputs.filter((name) => name !== '' && !casts.has(name));
    for (const name of fresh) casts.set(name, `train/half/${name}`);
    const [y = ''] = node.outputs;
    const result = `train/half.result/${y}`;
    return [
      ...[...new Set(fresh)].map((name) => cast(name, casts.get(name) ?? '', 'float16')),
      { ...node, name: result, inputs: node.inputs.map((name) => casts.get(name) ?? ''), outputs: [result] },
      cast(result, y, 'float32'),
    ];
  });
  return { graph: { ...model.graph, nodes }, weights: model.weights };
}

function cast(from: string, to: string, dtype: Value['dtype'] & ('float16' | 'float32')): Node {
  const attributes = { to: { kind: 'int', value: dataTypeOf[dtype] } } as const;
  return { name: to, op: 'Cast', domain: '', inputs: [from], outputs: [to], attributes };
}
