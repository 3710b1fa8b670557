/** What a site wants its training to run on, in agent.yaml. */
import { z } from 'zod';

/** The part `training` of agent.yaml. */
export const engineSchema = z.strictObject({
  /** tfjs is taken from what is installed: tfjs-node-gpu, else tfjs-node, else wasm, else cpu. */
  runtime: z.enum(['onnxruntime', 'tfjs']).default('onnxruntime'),
  /** Of onnxruntime. 'auto' is the first of cuda, webgpu and cpu that works here. */
  device: z.enum(['auto', 'cuda', 'webgpu', 'cpu']).default('auto'),
});

export type EngineSpec = z.infer<typeof engineSchema>;
