/** Releases: what passed the gate. */
import type { ReleaseView } from './release-view.js';

export interface Releases {
  /** Newest first. */
  list(): Promise<readonly ReleaseView[]>;
  get(id: string): Promise<ReleaseView>;
  /** The manifest's very bytes, and the coordinator's signature over them. */
  manifest(id: string): Promise<{ readonly manifest: Uint8Array; readonly signature: Uint8Array }>;
  /** The whole pipeline, from preprocessed examples to logits, as one ONNX file. */
  onnx(id: string): Promise<Uint8Array>;
}
