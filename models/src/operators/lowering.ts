/**
 * Which forms a training graph may take beyond the standard operators, as found out about the runtime that is to run it.
 * Gradient rules and the forward rewrites read this; a graph built for files uses `standardLowering`.
 */
export interface Lowering {
  /**
   * Channels of a block in the runtime's own blocked layout, where its operators of domain com.microsoft.nchwc were tried and work:
   * 16 with AVX-512, 8 with AVX2. Absent: only standard ONNX operators are written, which every runtime knows.
   */
  readonly blockedChannels?: 8 | 16;
  /** Whether batches of matrices may be turned as they are multiplied, by com.microsoft.FusedMatMul. */
  readonly fusedProducts?: true;
}

/** Standard ONNX operators only. */
export const standardLowering: Lowering = {};

/** Domains whose operators are a runtime's own: they are written into session graphs and never into files. */
export const privateDomains: ReadonlySet<string> = new Set(['com.microsoft.nchwc']);
