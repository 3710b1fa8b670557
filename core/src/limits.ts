/** A limit on everything that comes from outside, each with its reason. A limit that is hit names itself and both numbers. */
export const limits = {
  /** One chunk on the wire: large enough that per-message cost vanishes, small enough that a lost connection loses little. */
  chunkBytes: 1 << 20,
  /** HTTP/2 flow-control window, both sides: the default 64 KiB halves throughput even on loopback. */
  flowControlWindowBytes: 4 << 20,
  /** A gRPC message that is not a chunk: manifests and plans are small; calibration ranges of a large graph are the largest. */
  messageBytes: 4 << 20,
  /** The manifest of an update, some 12,000 activation ranges: its signature is verified on the thread that answers the network. */
  manifestBytes: 512 << 10,
  /** The JSON header of a safetensors file; the format's own limit is 100 MB, no model of ours comes near. */
  safetensorsHeaderBytes: 16 << 20,
  /** One ONNX file: protobuf's own ceiling. */
  onnxBytes: 2 ** 31 - 1,
  /** What the fields of an ONNX file take in memory once decoded, raw data apart: a hostile file can ask for 100 times its size. */
  onnxDecodedBytes: 2 ** 31,
  /** Nodes of a graph: the largest exported networks have some tens of thousands. */
  graphNodes: 200_000,
  /** Nesting of subgraphs. */
  graphDepth: 8,
  /** Functions of a model file that call each other: exporters nest one for each level of modules. */
  functionDepth: 64,
  /** Parameters of one update: 2^31 float32 are 8 GiB. */
  updateParameters: 2 ** 31,
  /** Examples an agent may claim for one round, unless the task says less. */
  examplesPerUpdate: 10_000_000,
  /** Clock difference between agent and coordinator: certificates and deadlines depend on it. */
  clockSkewMs: 5 * 60_000,
} as const;
