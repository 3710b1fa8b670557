/** The port behind which graphs are executed. Adapters are blocking native code: call them only in processes apart. */
import type { DType, Tensor } from '@graft/core/tensor';

import type { Model } from '../graph/graph.js';
import type { ProviderName } from './providers.js';

export interface SessionOptions {
  /** Threads inside one operator; 1 gives the same bits on every run. */
  readonly threads: number;
  /** 'inference' applies every optimisation of the runtime, 'training' those that keep the same bits in every form of a step. */
  readonly purpose: 'inference' | 'training';
  /** Where ONNX Runtime computes; what the provider has no kernel for runs on the CPU. Default: the CPU. */
  readonly provider?: ProviderName;
}

export type Feeds = Readonly<Record<string, Tensor>>;
export type Fetches = Readonly<Record<string, Tensor>>;

/** A value that stays where a session computed it; every session of the same runtime takes it as a feed. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A copy in memory of this process. */
  read(): Promise<Tensor>;
  /** Frees it. No run may be using it. */
  dispose(): void;
}

export interface Session {
  /**
   * Runs the graph. Shapes as the graph declares; a missing feed is an error of the caller.
   * @param into by output name: tensors of exactly the output's type and shape that the runtime writes to and that come back
   *   in place of new ones. None may share memory with a feed that the graph still reads while the output is written.
   */
  run(feeds: Feeds, into?: Fetches): Promise<Fetches>;
  /**
   * As run, but the outputs stay on the device, where a runtime can keep them: the weights of a step become feeds of the next.
   * They belong to the caller, who disposes them; feeds are left as they are.
   */
  runOnDevice?(feeds: Readonly<Record<string, Tensor | DeviceTensor>>): Promise<Readonly<Record<string, DeviceTensor>>>;
  dispose(): Promise<void>;
}

export interface Runtime {
  readonly name: string;
  load(model: Model, options: SessionOptions): Promise<Session>;
}
