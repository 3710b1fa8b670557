/** Operators with bodies, whose results are those of the bodies: https://onnx.ai/onnx/operators/onnx__If.html, onnx__Loop.html, onnx__Scan.html */
import type { Dimension, Graph } from '../../graph/graph.js';
import { unknownSize } from '../dimension.js';
import { knownOf } from '../known.js';
import { operator, type Known, type Operator, type OperatorRows, type Site } from '../operator.js';
import { axisOf, inputOf, intOf, intsOf, malformed, unsupported } from '../site.js';

const row = (infer: Operator['infer']): Operator => operator({ infer, gradient: 'not yet' });

/** The types that the body named `attribute` gives for its inputs. */
function resultsOf(site: Site, attribute: string, inputs: readonly Known[]): readonly Known[] {
  const body = bodyOf(site, attribute);
  if (site.inferBody === undefined) throw unsupported(site.node, 'has a body, whose types are not followed here');
  if (body.inputs.length !== inputs.length) {
    throw malformed(site.node, `gives ${inputs.length} values to a body of ${body.inputs.length} inputs`);
  }
  return site.inferBody(body, inputs);
}

function bodyOf({ node }: Site, attribute: string): Graph {
  const body = node.attributes[attribute];
  if (body?.kind !== 'graph') throw malformed(node, `has no ${attribute}`);
  return body.value;
}

/** What is true of both. */
function merged(site: Site, a: Known, b: Known, index: number): Known {
  if (a.dtype !== b.dtype) throw malformed(site.node, `gives a ${a.dtype} or a ${b.dtype} as output ${index}`);
  const container = a.container === undefined ? {} : { container: a.container };
  if (a.shape === undefined || b.shape?.length !== a.shape.length) return { dtype: a.dtype, ...container };
  const shape = a.shape.map((size, axis) =>
    b.shape?.[axis] === size ? size : unknownSize(site.node.name, `${index}.${axis}`),
  );
  return { dtype: a.dtype, shape, ...container };
}

function inferIf(site: Site): Known[] {
  const [condition] = inputOf(site, 0).elements ?? [];
  if (typeof condition === 'number')
    return resultsOf(site, condition === 0 ? 'else_branch' : 'then_branch', []).map(plain);
  const [then, otherwise] = [resultsOf(site, 'then_branch', []), resultsOf(site, 'else_branch', [])];
  return then.map((each, i) => merged(site, each, otherwise[i] ?? each, i));
}

const plain = ({ dtype, shape, container }: Known): Known => ({
  ...knownOf(dtype, shape),
  ...(container && { container }),
});

/** State goes around until its type holds for every turn: what changed in the first is not known. */
function inferTurns(
  site: Site,
  states: readonly Known[],
  turn: (states: readonly Known[]) => readonly Known[],
): readonly Known[] {
  let known = states.map(plain);
  for (;;) {
    const results = turn(known);
    const next = known.map((state, i) => merged(site, state, results[i] ?? state, i));
    const settled = next.every((each, i) => each.shape?.join() === known[i]?.shape?.join());
    if (settled) return [...next, ...results.slice(next.length)];
    known = next;
  }
}

function inferLoop(site: Site): Known[] {
  const states = site.inputs.slice(2).map((_, i) => inputOf(site, i + 2));
  const [turnIndex, goOn] = [knownOf('int64', []), knownOf('bool', [])];
  const results = inferTurns(site, states, (known) => resultsOf(site, 'body', [turnIndex, goOn, ...known]).slice(1));
  const turns = unknownSize(site.node.name, 'turns');
  return results.map((each, i) => (i < states.length ? each : stacked(each, 0, turns)));
}

function stacked({ dtype, shape }: Known, axis: number, count: Dimension): Known {
  return knownOf(dtype, shape?.toSpliced(axis, 0, count));
}

function inferScan(site: Site): Known[] {
  const { node } = site;
  const scanned = intOf(node, 'num_scan_inputs', 0);
  const all = site.inputs.map((_, i) => inputOf(site, i));
  const states = all.slice(0, all.length - scanned);
  const axesIn = intsOf(node, 'scan_input_axes') ?? [];
  let count: Dimension = unknownSize(node.name, 'steps');
  const slices = all.slice(states.length).map(({ dtype, shape }, i) => {
    if (shape === undefined) return knownOf(dtype, undefined);
    const axis = axisOf(node, axesIn[i] ?? 0, shape.length);
    count = shape[axis] ?? count;
    return knownOf(dtype, shape.toSpliced(axis, 1));
  });
  const results = inferTurns(site, states, (known) => resultsOf(site, 'body', [...known, ...slices]));
  const axesOut = intsOf(node, 'scan_output_axes') ?? [];
  return results.map((each, i) => {
    if (i < states.length) return each;
    const rank = (each.shape?.length ?? 0) + 1;
    return stacked(each, axisOf(node, axesOut[i - states.length] ?? 0, rank), count);
  });
}

export const controlFlowOperators: OperatorRows = {
  If: row(inferIf),
  Loop: row(inferLoop),
  Scan: row(inferScan),
};
