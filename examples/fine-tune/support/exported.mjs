/** The graphs of exported/, whose weights are inputs, with random weights. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { random, seedFrom } from '@graft/core/random';
import { elementCount, tensor } from '@graft/core/tensor';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';

/** Matrices and kernels are normal with variance 2 / fan in, scales of norms one, the rest zero but for position embeddings. */
export function exported(name, seed) {
  const file = readFileSync(join(import.meta.dirname, '../exported', `${name}.onnx`));
  const { graph, weights } = importOnnx(new Uint8Array(file));
  const inputs = graph.inputs.filter((input) => input.name === 'input');
  const parameters = graph.inputs.filter((input) => input.name !== 'input');
  const scales = new Set(graph.nodes.flatMap(({ op, inputs: read }) => (op === 'LayerNormalization' ? [read[1]] : [])));
  const products = new Set(graph.nodes.flatMap(({ op, inputs: read }) => (op === 'MatMul' ? [read[1]] : [])));
  const values = parameters.map((parameter) => {
    const { shape } = parameter;
    const { normal } = random(seedFrom(seed, parameter.name));
    const count = elementCount(shape);
    const fanIn = products.has(parameter.name) ? shape[0] : count / shape[0];
    const spread = shape.length === 1 ? 0 : parameter.name.endsWith('_embed') ? 0.02 : Math.sqrt(2 / fanIn);
    const centre = scales.has(parameter.name) ? 1 : 0;
    return [
      parameter.name,
      tensor(
        'float32',
        shape,
        Float32Array.from({ length: count }, () => centre + spread * normal()),
      ),
    ];
  });
  return {
    graph: { ...graph, inputs, weights: [...graph.weights, ...parameters] },
    weights: new Map([...weights, ...values]),
  };
}
