/** Hard-swish as exporters write it where the opset has none: x * clip(x + 3, 0, 6) / 6 (Howard et al., MobileNetV3, 2019). */
import type { Node } from '../graph/graph.js';
import type { Draft } from './draft.js';

/** Where the named node is the Clip of such a chain: HardSigmoid (slope 1/6, offset 1/2), then Mul. */
export function foldHardSwish(draft: Draft, clipName: string): void {
  const clip = draft.node(clipName);
  if (clip?.op !== 'Clip' || scalar(draft, clip.inputs[1]) !== 0 || scalar(draft, clip.inputs[2]) !== 6) return;
  const add = draft.maker(clip.inputs[0] ?? '');
  const mul = onlyReader(draft, clip);
  const div = mul && onlyReader(draft, mul);
  if (add?.op !== 'Add' || mul?.op !== 'Mul' || div === undefined) return;
  const x = otherInput(add, (name) => scalar(draft, name) === 3);
  const y = otherInput(mul, (name) => name === clip.outputs[0]);
  if (x === undefined || x !== y || !dividesBySix(draft, div, mul) || !draft.isPrivate(add.outputs[0] ?? '', clip))
    return;
  const gate = draft.freshName(`${clip.outputs[0] ?? ''}/6`);
  draft.remove(add.name);
  draft.remove(div.name);
  draft.replace({
    ...clip,
    op: 'HardSigmoid',
    inputs: [x],
    outputs: [gate],
    attributes: { alpha: { kind: 'float', value: Math.fround(1 / 6) }, beta: { kind: 'float', value: 0.5 } },
  });
  draft.replace({ ...mul, inputs: [x, gate], outputs: div.outputs });
}

function onlyReader(draft: Draft, node: Node): Node | undefined {
  const [output = ''] = node.outputs;
  const [reader, ...others] = draft.readers(output);
  return others.length === 0 && !draft.isOutput(output) ? reader : undefined;
}

/** The input beside the one that matches. */
function otherInput({ inputs }: Node, matches: (name: string) => boolean): string | undefined {
  const [left = '', right = ''] = inputs;
  if (matches(right)) return left;
  return matches(left) ? right : undefined;
}

function dividesBySix(draft: Draft, node: Node, mul: Node): boolean {
  const product = mul.outputs[0];
  if (node.op === 'Div') return node.inputs[0] === product && scalar(draft, node.inputs[1]) === 6;
  const factor = otherInput(node, (name) => name === product);
  return node.op === 'Mul' && Math.abs((scalar(draft, factor) ?? 0) - 1 / 6) < 1e-7;
}

/** A constant of one element that does not raise the rank of what it meets. */
function scalar(draft: Draft, name: string | undefined): number | undefined {
  const value = draft.constant(name);
  return value?.data.length === 1 && value.shape.length <= 1 ? value.data[0] : undefined;
}
