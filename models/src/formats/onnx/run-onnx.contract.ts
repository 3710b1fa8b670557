/**
 * Runs ONNX files in ONNX Runtime, for specs. In a process of its own: under Jest the addon's results are typed arrays
 * of another realm, which onnxruntime-common refuses ("A float32 tensor's data must be type of function Float32Array").
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { bytesOf, tensorFromBytes, type Tensor } from '@graft/core/tensor';

export interface Run {
  readonly file: Uint8Array;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

interface Encoded {
  readonly dtype: Tensor['dtype'];
  readonly shape: readonly number[];
  readonly data: string;
}

/** Plain JavaScript, read by node from the command line; results leave as one JSON line. */
const program = `
  import ort from 'onnxruntime-node';
  import { readFileSync } from 'node:fs';
  const arrays = { float32: Float32Array, float64: Float64Array, float16: Uint16Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
  const results = [];
  for (const { path, feeds } of JSON.parse(readFileSync(process.argv[1], 'utf8'))) {
    const session = await ort.InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 4 });
    const inputs = Object.entries(feeds).map(([name, { dtype, shape, data }]) => {
      const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
      return [name, new ort.Tensor(dtype, new arrays[dtype](bytes.buffer), shape)];
    });
    const outputs = Object.entries(await session.run(Object.fromEntries(inputs))).map(([name, { type, dims, data }]) =>
      [name, { dtype: type, shape: dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') }]);
    results.push(outputs);
  }
  process.stdout.write(JSON.stringify(results));
`;

/** The outputs of each run, in order. Rejects with the runtime's own words. */
export async function runOnnx(runs: readonly Run[]): Promise<Map<string, Tensor>[]> {
  const directory = await mkdtemp(join(tmpdir(), 'graft onnx '));
  try {
    const encoded = runs.map(({ feeds }, i) => ({
      path: join(directory, `${i}.onnx`),
      feeds: Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, encode(value)])),
    }));
    for (const [i, { file }] of runs.entries()) await writeFile(join(directory, `${i}.onnx`), file);
    const list = join(directory, 'runs.json');
    await writeFile(list, JSON.stringify(encoded));
    const results = JSON.parse(await runProgram(list)) as [string, Encoded][][];
    return results.map((outputs) => new Map(outputs.map(([name, value]) => [name, decode(value)])));
  } finally {
    await rm(directory, { recursive: true });
  }
}

function runProgram(list: string): Promise<string> {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, list], { cwd });
  const [out, errors]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString());
      else reject(new Error(Buffer.concat(errors).toString()));
    });
  });
}

function encode(value: Tensor): Encoded {
  return { dtype: value.dtype, shape: value.shape, data: Buffer.from(bytesOf(value)).toString('base64') };
}

function decode({ dtype, shape, data }: Encoded): Tensor {
  return tensorFromBytes(dtype, shape, Uint8Array.from(Buffer.from(data, 'base64')));
}
