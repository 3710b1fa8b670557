/** Graph to GraphProto. The order of everything follows the graph; attributes are sorted, so that equal graphs are equal bytes. */
import type { Attribute, Graph, Node, Value, ValueType } from '../../graph/graph.js';
import { internalOpset } from '../../graph/graph.js';
import { dataTypeOf } from './data-types.js';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto } from './onnx-schema.js';
import { writeOpaque } from './opaque-tensor.js';
import { versionNeeded } from './opset/domains.js';
import { writeTensor } from './tensor-proto.js';

/** The IR versions that came with opset 21 and with opset 26: https://github.com/onnx/onnx/blob/main/docs/Versioning.md */
const irVersions = { internal: 10, late: 13 } as const;

/** A whole file around a graph. */
export function writeModel(graph: Graph, proto: GraphProto): ModelProto {
  const versions = versionsOf(graph);
  const main = versions.get('') ?? internalOpset;
  const others = [...versions].filter(([domain]) => domain !== '').sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    irVersion: main > internalOpset ? irVersions.late : irVersions.internal,
    producerName: 'graft',
    graph: proto,
    opsetImport: [{ domain: '', version: main }, ...others.map(([domain, version]) => ({ domain, version }))],
  };
}

/** The version of each domain that the graph's nodes need; that of a domain that is not known is 1. */
export function versionsOf(graph: Graph): Map<string, number> {
  const versions = new Map([['', internalOpset]]);
  const visit = (nodes: readonly Node[]): void => {
    for (const { op, domain, attributes } of nodes) {
      versions.set(domain, Math.max(versions.get(domain) ?? 1, versionNeeded(domain, op) ?? 1));
      for (const attribute of Object.values(attributes)) if (attribute.kind === 'graph') visit(attribute.value.nodes);
    }
  };
  visit(graph.nodes);
  return versions;
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
    default:
      return { type: 13, tp: writeType(attribute.value) };
  }
}
