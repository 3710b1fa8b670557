/** Graph to GraphProto. The order of everything follows the graph; attributes are sorted, so that equal graphs are equal bytes. */
import type { Attribute, Graph, Node, Value, ValueType } from '../../graph/graph.js';
import { internalOpset } from '../../graph/graph.js';
import { dataTypeOf } from './data-types.js';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto } from './onnx-schema.js';
import { writeOpaque } from './opaque-tensor.js';
import { writeTensor } from './tensor-proto.js';

/** The IR version that came with opset 21: https://github.com/onnx/onnx/blob/main/docs/Versioning.md */
const irVersion = 10;

/** A whole file around a graph. */
export function writeModel(graph: Graph, proto: GraphProto): ModelProto {
  const domains = [...new Set(graph.nodes.flatMap(domainsOf))].filter((domain) => domain !== '').sort();
  return {
    irVersion,
    producerName: 'graft',
    graph: proto,
    opsetImport: [{ domain: '', version: internalOpset }, ...domains.map((domain) => ({ domain, version: 1 }))],
  };
}

export function writeGraph(graph: Graph): GraphProto {
  return {
    node: graph.nodes.map(writeNode),
    name: graph.name || 'graph',
    input: graph.inputs.map(writeValue),
    output: graph.outputs.map(writeValue),
  };
}

export function writeValue({ name, ...type }: Value): ValueInfoProto {
  return type.dtype === 'undefined' ? { name } : { name, type: writeType(type) };
}

export function writeType({ dtype, shape, container }: ValueType): TypeProto {
  const elemType = dataTypeOf[dtype];
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  const tensor = { tensorType: dim === undefined ? { elemType } : { elemType, shape: { dim } } };
  switch (container) {
    case 'sequence':
      return { sequenceType: { elemType: tensor } };
    case 'optional':
      return { optionalType: { elemType: tensor } };
    case 'optional sequence':
      return { optionalType: { elemType: { sequenceType: { elemType: tensor } } } };
    default:
      return tensor;
  }
}

function domainsOf(node: Node): string[] {
  const inner = Object.values(node.attributes).flatMap((attribute) =>
    attribute.kind === 'graph' ? attribute.value.nodes.flatMap(domainsOf) : [],
  );
  return [node.domain, ...inner];
}

function writeNode(node: Node): NodeProto {
  return {
    input: node.inputs,
    output: node.outputs,
    name: node.name,
    opType: node.op,
    ...(node.domain === '' ? {} : { domain: node.domain }),
    attribute: Object.entries(node.attributes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, attribute]) => ({ name, ...writeAttribute(attribute) })),
  };
}

function writeAttribute(attribute: Attribute): AttributeProto {
  const encoder = new TextEncoder();
  switch (attribute.kind) {
    case 'float':
      return { type: 1, f: attribute.value };
    case 'int':
      return { type: 2, i: attribute.value };
    case 'string':
      return { type: 3, s: encoder.encode(attribute.value) };
    case 'tensor':
      return { type: 4, t: writeTensor('', attribute.value) };
    case 'graph':
      return { type: 5, g: writeGraph(attribute.value) };
    case 'floats':
      return { type: 6, floats: attribute.value };
    case 'ints':
      return { type: 7, ints: attribute.value };
    case 'strings':
      return { type: 8, strings: attribute.value.map((value) => encoder.encode(value)) };
    case 'opaque':
      return { type: 4, t: writeOpaque('', attribute.value) };
    case 'type':
      return { type: 13, tp: writeType(attribute.value) };
  }
}
