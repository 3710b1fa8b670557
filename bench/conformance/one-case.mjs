/** Reads cases, one a line, and writes for each the step it is at and then the verdict. Run by judge.mjs. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { exportOnnx } from '@graft/models/formats/onnx/export-onnx';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';

import { checkGradient } from './gradient.mjs';
import { feedsOf, open, outputsOf, readFeed } from './runtime.mjs';
import { differenceOf } from './same.mjs';
import { checkShapes } from './shapes.mjs';

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** A step that gives a value or a reason; the reason is the first sentence of what was thrown. */
async function attempt(step, verdict, work) {
  say({ step });
  try {
    const value = await work();
    verdict[step] = { ok: true };
    return value;
  } catch (error) {
    verdict[step] = {
      ok: false,
      reason: `${error.code ?? error.name}: ${error.message}`.replace(/\s+/g, ' ').slice(0, 300),
    };
    return undefined;
  }
}

/** Outputs of the file as it is, twice: what is drawn anew at each run has only its type and shape to compare. */
async function original(bytes, each) {
  const session = await open(bytes);
  const feeds = feedsOf(session, each.inputs);
  const outputs = await outputsOf(session, feeds);
  const again = await outputsOf(session, feeds);
  await session.release();
  const random = Object.keys(outputs).some((name) => differenceOf(outputs[name], again[name], 'bits') !== undefined);
  return { feeds, outputs, random };
}

/** The same as the original in ONNX Runtime; where that differs from the test's own outputs, the same as those will do. */
async function reexported(model, { feeds, outputs, random }, each) {
  const session = await open(exportOnnx(model));
  const found = await outputsOf(session, feeds);
  await session.release();
  const written = each.outputs.map((file) => readFeed(file));
  let [sameBits, asWritten] = [true, undefined];
  for (const [name, expected] of Object.entries(outputs)) {
    if (found[name] === undefined) throw new Error(`no output '${name}'`);
    const difference = differenceOf(expected, found[name], random ? 'type and shape' : 'tolerance');
    if (difference !== undefined) {
      const inTest = random ? undefined : written[session.outputNames.indexOf(name)];
      if (inTest === undefined || differenceOf(inTest, found[name], 'tolerance') !== undefined) {
        throw new Error(`output '${name}' ${difference}`);
      }
      asWritten = `output '${name}' ${difference}`;
    }
    sameBits &&= !random && differenceOf(expected, found[name], 'bits') === undefined;
  }
  return { sameBits, asWritten };
}

async function verdictOf(each) {
  const bytes = new Uint8Array(readFileSync(each.model));
  const verdict = { name: each.name, runs: false };
  const runtime = await attempt('runtime', verdict, () => original(bytes, each));
  verdict.runs = runtime !== undefined;
  const model = await attempt('imports', verdict, () => importOnnx(bytes));
  if (runtime === undefined || model === undefined) return verdict;
  verdict.operators = [...new Set(model.graph.nodes.map(({ op }) => op))];
  await attempt('shapes', verdict, () => checkShapes(model, runtime));
  const again = await attempt('reexports', verdict, () => reexported(model, runtime, each));
  if (again?.asWritten !== undefined) verdict.asWritten = again.asWritten;
  verdict.sameBits = again?.sameBits ?? false;
  if (again !== undefined && !runtime.random) {
    const gradient = await attempt('gradient', verdict, () => checkGradient(model, runtime));
    if (gradient?.skipped !== undefined) verdict.gradient = { skipped: gradient.skipped };
    else if (gradient !== undefined) verdict.gradient = { ok: true, ...gradient };
  }
  return verdict;
}

for await (const line of createInterface({ input: process.stdin })) say(await verdictOf(JSON.parse(line)));
