/** What `graft doctor` says of ONNX Runtime: the execution provider that training would use, and why not each faster one. */
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { z } from 'zod';

import { describeError } from '../output/output.js';

const choiceSchema = z.object({
  provider: z.enum(['cuda', 'webgpu', 'cpu']).optional(),
  refused: z.array(z.object({ provider: z.enum(['cuda', 'webgpu', 'cpu']), reason: z.string() })),
});

export interface ProviderCheck {
  readonly result: 'PASS' | 'FAIL' | 'WARN';
  readonly name: 'onnxruntime';
  readonly message: string;
  readonly details?: z.infer<typeof choiceSchema>;
}

/** Each of three providers may take a minute to answer. */
const limitMs = 200_000;

const program = `
  import { chooseProvider } from ${JSON.stringify(import.meta.resolve('@graft/models/runtime/onnxruntime-providers.adapter'))};
  console.log(JSON.stringify(await chooseProvider()));
`;

/** In a process of its own, as the command itself needs no runtime. */
export async function checkProviders(): Promise<ProviderCheck> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      timeout: limitMs,
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    const details = choiceSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''));
    const others = details.refused.map(({ provider, reason }) => `not ${provider}: ${reason}`);
    const message = [details.provider ?? 'no execution provider works', ...others].join('; ');
    return { result: details.provider === undefined ? 'FAIL' : 'PASS', name: 'onnxruntime', message, details };
  } catch (error) {
    return {
      result: 'WARN',
      name: 'onnxruntime',
      message: `could not be tried: ${describeError(error).lines.join(' ')}`,
    };
  }
}
