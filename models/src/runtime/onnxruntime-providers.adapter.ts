/**
 * Tries ONNX Runtime's execution providers, each in a process of its own: a missing driver or library may end the process
 * instead of throwing. What ended or did not answer is a reason like any other.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

import { tensor } from '@graft/core/tensor';

import { encodeOnnx } from '../formats/onnx/export-onnx.js';
import type { Model } from '../graph/graph.js';
import { firstProvider, providerOrder, type ProviderChoice, type ProviderName } from './providers.js';

/** Starting a GPU for the first time takes seconds. */
const probeMs = 60_000;

/** Longest reason that is told: native messages repeat themselves and name source files. */
const reasonLength = 300;

/** cuda, then webgpu, then cpu. Starts a process for each that it tries. */
export function chooseProvider(order: readonly ProviderName[] = providerOrder): Promise<ProviderChoice> {
  return firstProvider(order, probeInChild);
}

/** y = relu(x w): [1, 2] times [2, 2]. */
function probeModel(): Model {
  const value = (name: string, ...shape: number[]) => ({ name, dtype: 'float32', shape }) as const;
  const node = (op: string, inputs: string[], name: string) => ({
    name,
    op,
    domain: '',
    inputs,
    outputs: [name],
    attributes: {},
  });
  return {
    graph: {
      name: 'probe',
      inputs: [value('x', 1, 2)],
      outputs: [value('y', 1, 2)],
      weights: [value('w', 2, 2)],
      nodes: [node('MatMul', ['x', 'w'], 'product'), node('Relu', ['product'], 'y')],
    },
    weights: new Map([['w', tensor('float32', [2, 2], Float32Array.of(1, -1, 2, -2))]]),
  };
}

/** Runs in the child: arguments are the runtime's file, the provider and the graph; the last line of its output is the answer. */
const program = `
  const [file, provider, graph] = process.argv.slice(1);
  const answer = (reason) => console.log('\\n' + JSON.stringify({ reason }));
  (async () => {
    const ort = require(file);
    const session = await ort.InferenceSession.create(Buffer.from(graph, 'base64'), {
      executionProviders: [provider],
      logSeverityLevel: 4,
      // Without this the graph would run on the CPU where the provider has no device.
      extra: provider === 'cpu' ? {} : { session: { disable_cpu_ep_fallback: '1' } },
    });
    const { y } = await session.run({ x: new ort.Tensor('float32', Float32Array.of(3, 4), [1, 2]) });
    const data = await y.getData();
    answer(data[0] === 11 && data[1] === 0 ? null : 'it computed [' + data.join(', ') + '] instead of [11, 0]');
  })().catch((error) => answer(String(error.message ?? error)));
`;

async function probeInChild(provider: ProviderName): Promise<string | undefined> {
  const runtime = createRequire(import.meta.url).resolve('onnxruntime-node');
  const graph = Buffer.from(encodeOnnx(probeModel())).toString('base64');
  const child = spawn(process.execPath, ['-e', program, runtime, provider, graph], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: probeMs,
    killSignal: 'SIGKILL',
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('error', () => resolve([null, null]));
    child.once('close', (...end) => resolve(end));
  });
  const last = Buffer.concat(chunks).toString('utf8').trim().split('\n').at(-1) ?? '';
  const reason = reasonIn(last);
  if (reason === null) return undefined;
  return reason ?? endOf(code, signal);
}

/** Null where the provider worked, undefined where the line is no answer. */
function reasonIn(line: string): string | null | undefined {
  if (!line.startsWith('{"reason":')) return undefined;
  const { reason } = JSON.parse(line) as { reason: string | null };
  if (reason === null) return null;
  const sentence = reason.replaceAll(/\s+/g, ' ').replace(/^\/onnxruntime_src\/.* was false\. /, '');
  return sentence.trim().slice(0, reasonLength);
}

function endOf(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === 'SIGKILL') return `it did not answer within ${probeMs / 1000} s`;
  if (signal !== null) return `the process that tried it was ended by ${signal}`;
  return `the process that tried it ended with code ${code ?? 'unknown'} and no answer`;
}
