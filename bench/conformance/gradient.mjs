/**
 * The gradient that graft writes, run by ONNX Runtime in float32, against central differences of ONNX Runtime's own forward.
 * The forward is taken in float64 where its kernels have it, else in float32 with a wider step and tolerance. Each real input is
 * checked by itself, with all others as constants; the loss is the sum of the real outputs times fixed random numbers.
 * Inputs are moved a little, since the tests like the corners where there is no derivative; a place that still has none is left out.
 */
import * as ort from 'onnxruntime-node';

import { random } from '@graft/core/random';
import { bytesPerElement, elementCount, tensor } from '@graft/core/tensor';
import { exportOnnx } from '@graft/models/formats/onnx/export-onnx';
import { GraphBuilder } from '@graft/models/operators/graph-builder';
import { declarationsOf } from '@graft/models/operators/infer-shapes';
import { differentiate } from '@graft/models/training/differentiate';
import { addForward } from '@graft/models/training/forward';

import { inFloat64 } from './in-float64.mjs';
import { open } from './runtime.mjs';

/** Step of the differences and largest error, relative to the largest derivative of the input. */
const measures = { float64: { step: 1e-5, tolerance: 2e-3 }, float32: { step: 1e-2, tolerance: 3e-2 } };

const arrays = { float32: Float32Array, float64: Float64Array };

/** Elements of an input that are moved one by one. */
const sampled = 8;

/** Up to this many nodes, a forward in float32 that does not move says that the derivative is 0. */
const fewNodes = 8;

/** How far inputs are moved away from where the test puts them. */
const jitter = 0.02;

/** Errors of an operator without a gradient, or of one that needs this input to be a constant. */
const unable = new Set(['NOT_DIFFERENTIABLE', 'GRADIENT_MISSING', 'MODEL_UNSUPPORTED']);

/** What was checked, or `skipped` with the reason. Throws where a gradient is wrong. */
export async function checkGradient(model, { feeds, outputs }) {
  const isReal = (value) => value !== undefined && Object.hasOwn(arrays, value.type) && value.size > 0;
  const real = model.graph.outputs.filter(({ name }) => isReal(outputs[name]));
  if (real.length === 0) return { skipped: 'no output of real numbers' };
  const inputs = Object.keys(feeds).filter((name) => isReal(feeds[name]));
  const reasons = [];
  const checked = [];
  const kinds = new Set();
  for (const name of inputs) {
    const result = await checkInput({ model, feeds, outputs, real }, name);
    if (result.skipped !== undefined) reasons.push(result.skipped);
    else {
      checked.push(name);
      kinds.add(result.kind);
    }
  }
  if (checked.length === 0) return { skipped: reasons[0] ?? 'no input of real numbers' };
  return { checked, kind: kinds.has('float32') ? 'float32' : 'float64' };
}

async function checkInput(given, name) {
  const source = random(7);
  const moved = move(given.feeds[name], source);
  const weights = given.real.map(({ name: output }) => {
    const { dims, type } = given.outputs[output];
    return [
      output,
      tensor(
        type,
        dims,
        arrays[type].from({ length: elementCount(dims) }, () => 2 * source.next() - 1),
      ),
    ];
  });
  const alone = aloneWith(given, name);
  let gradientModel;
  try {
    gradientModel = gradientOf(alone, name, weights);
  } catch (error) {
    if (unable.has(error.code)) return { skipped: error.code };
    throw error;
  }
  const forward = await forwardOf(alone, { name, moved }, weights);
  if (forward === undefined) return { skipped: 'the forward does not run with moved inputs' };
  const gradient = await runGradient(gradientModel, name, moved);
  const differences = await centralDifferences(forward, moved, source);
  await forward.release();
  if (gradient.some(Number.isNaN) && (await passesNaN(alone, name, moved))) return { skipped: 'NaN on the way' };
  if (differences.length === 0) return { skipped: 'no derivative at the places that were tried' };
  // Through many layers with equal weights, as light models have, derivatives cancel to 0, and float32 keeps rounding alone.
  const still = forward.kind === 'float32' && differences.every(({ slope }) => slope === 0);
  if (still && alone.graph.nodes.length > fewNodes) return { skipped: 'the forward in float32 does not move' };
  const wrong = wrongPlace(gradient, differences, measures[forward.kind].tolerance);
  if (wrong === undefined) return { kind: forward.kind };
  const { index, slope } = wrong;
  throw new Error(
    `by '${name}' at ${index} is ${gradient[index]}, central differences in ${forward.kind} give ${slope}`,
  );
}

/** The first place where the gradient is not the slope, relative to the largest slope. */
function wrongPlace(gradient, differences, tolerance) {
  const largest = Math.max(...differences.map(({ slope }) => Math.abs(slope)), 1e-3);
  return differences.find(({ index, slope }) => !(Math.abs(gradient[index] - slope) / largest <= tolerance));
}

function move({ type, data, dims }, source) {
  return tensor(
    type,
    dims,
    arrays[type].from(data, (value) => value + jitter * (source.next() - 0.5)),
  );
}

/** The model with one real input; the other inputs are constants. */
function aloneWith({ model, feeds }, name) {
  const [weights, added] = [new Map(model.weights), []];
  for (const [input, { type, dims, data }] of Object.entries(feeds)) {
    if (input === name || !Object.hasOwn(bytesPerElement, type)) continue;
    weights.set(input, tensor(type, dims, data));
    added.push({ name: input, dtype: type, shape: dims });
  }
  const inputs = model.graph.inputs
    .filter((input) => !weights.has(input.name))
    .map((input) => (feeds[input.name] === undefined ? input : { ...input, shape: feeds[input.name].dims }));
  return { graph: { ...model.graph, inputs, weights: [...model.graph.weights, ...added] }, weights };
}

function gradientOf({ graph, weights }, name, projections) {
  const scope = declarationsOf({ graph, weights });
  const build = new GraphBuilder(scope, 'gradient/');
  const nodes = addForward(graph.nodes, build);
  const seeds = new Map(projections.map(([output, factors]) => [output, build.constant(factors)]));
  const gradient = differentiate({ nodes, scope, seeds, wanted: [name] }, build).get(name);
  if (gradient === undefined) return undefined;
  const output = build.add('Identity', [gradient]);
  const constants = [...build.constants].map(([key, { dtype, shape }]) => ({ name: key, dtype, shape }));
  return {
    graph: {
      ...graph,
      outputs: [{ name: output, dtype: build.typeOf(output).dtype }],
      nodes: build.nodes,
      weights: [...graph.weights, ...constants],
    },
    weights: new Map([...weights, ...build.constants]),
  };
}

/** Zeros where the outputs do not depend on the input. */
async function runGradient(model, name, value) {
  if (model === undefined) return new arrays[value.dtype](value.data.length);
  const session = await open(exportOnnx(model));
  const feeds = model.graph.inputs.some((input) => input.name === name) ? { [name]: value } : {};
  const [result] = Object.values(
    await session.run(
      Object.fromEntries(
        Object.entries(feeds).map(([key, { data, shape }]) => [key, new ort.Tensor(value.dtype, data, shape)]),
      ),
    ),
  );
  await session.release();
  if (result.dims.join() !== value.shape.join()) {
    throw new Error(`by '${name}' has shape [${result.dims.join(', ')}], the input has [${value.shape.join(', ')}]`);
  }
  return result.data;
}

/** Whether a value between the nodes is NaN: products with it are NaN too, and no gradient by arithmetic is more. */
async function passesNaN(model, name, value) {
  const types = declarationsOf(model);
  for (const node of model.graph.nodes) types.infer(node);
  const made = model.graph.nodes.flatMap(({ outputs }) => outputs).filter((output) => output !== '');
  const outputs = made
    .map((output) => ({ name: output, dtype: types.of(output).dtype }))
    .filter(({ dtype }) => Object.hasOwn(arrays, dtype));
  const session = await open(exportOnnx({ ...model, graph: { ...model.graph, outputs } }));
  const found = await session.run({ [name]: new ort.Tensor(value.dtype, value.data, value.shape) });
  await session.release();
  return Object.values(found).some(({ data }) => data.some(Number.isNaN));
}

/** The loss as a function of the input, in float64 where ONNX Runtime can. */
async function forwardOf(model, { name, moved }, projections) {
  for (const kind of moved.dtype === 'float64' ? ['float64'] : ['float64', 'float32']) {
    try {
      const session = await open(exportOnnx(kind === 'float64' ? inFloat64(model) : model));
      const loss = async (data, dims) => {
        const found = await session.run({ [name]: new ort.Tensor(kind, arrays[kind].from(data), dims) });
        return projections.reduce(
          (sum, [output, { data: factors }]) =>
            factors.reduce((all, factor, i) => all + factor * found[output].data[i], sum),
          0,
        );
      };
      await loss(moved.data, moved.shape);
      return { kind, loss, release: () => session.release() };
    } catch {
      // No kernel for this type: the next one, or none.
      continue;
    }
  }
  return undefined;
}

/** Slopes at sampled elements; one whose differences of two steps disagree has a corner there and is left out. */
async function centralDifferences({ kind, loss }, { data, shape }, source) {
  const { step, tolerance } = measures[kind];
  const slopeAt = async (index, width) => {
    const at = (offset) =>
      loss(
        Float64Array.from(data, (value, i) => (i === index ? value + offset : value)),
        shape,
      );
    return ((await at(width)) - (await at(-width))) / (2 * width);
  };
  const indices =
    data.length <= sampled
      ? [...data.keys()]
      : Array.from({ length: sampled }, () => Math.floor(source.next() * data.length));
  const slopes = [];
  for (const index of new Set(indices)) {
    const [slope, finer] = [await slopeAt(index, step), await slopeAt(index, step / 2)];
    const smooth = Math.abs(slope - finer) <= (tolerance / 2) * Math.max(Math.abs(slope), 1e-2);
    if (Number.isFinite(slope) && smooth) slopes.push({ index, slope });
  }
  return slopes;
}
