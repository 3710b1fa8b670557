/**
 * The messages of graft/v1/*.proto as TypeScript sees them: camelCase, 64-bit integers as number, bytes as Uint8Array.
 * A spec compares every interface with the .proto files. What each field means is written there.
 *
 * A reader gets every scalar and list (the default where the sender left it out) and `null` for an absent message.
 * A writer must name every scalar; a message that may be absent is optional.
 */

// enrolment.proto

export interface EnrolRequest {
  readonly minProtocol: number;
  readonly maxProtocol: number;
  readonly agentVersion: string;
  readonly token: string;
  readonly csr: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly agreementKey: Uint8Array;
  readonly proof: Uint8Array;
  readonly clockMs: number;
}

export interface EnrolResponse {
  readonly agentId: string;
  readonly agentName: string;
  readonly certificate: Uint8Array;
  readonly caCertificate: Uint8Array;
  readonly identityKey: Uint8Array;
  readonly federationAddress: string;
  readonly protocol: number;
}

// federation.proto

export interface ConnectRequest {
  readonly minProtocol: number;
  readonly maxProtocol: number;
  readonly agentVersion: string;
  readonly clockMs: number;
  readonly capabilities?: Capabilities | null;
  readonly paused?: string;
}

export interface Capabilities {
  readonly device: string;
  readonly threads: number;
  readonly trainingExamples: number;
  readonly heldOutExamples: number;
  readonly tags?: readonly string[];
  readonly declinedTasks?: readonly string[];
}

/** `kind` is absent where a newer coordinator sends a kind that this version does not know. */
export type Instruction = { readonly id: string; readonly priority?: number; readonly task?: string } & (
  | { readonly kind: 'welcome'; readonly welcome: Welcome }
  | { readonly kind: 'train'; readonly train: TrainPlan }
  | { readonly kind: 'evaluate'; readonly evaluate: EvaluatePlan }
  | { readonly kind: 'install'; readonly install: Release }
  | { readonly kind: 'cancel'; readonly cancel: Cancel }
  | { readonly kind: 'drain'; readonly drain: Drain }
  | { readonly kind?: never }
);

export interface Welcome {
  readonly protocol: number;
  readonly coordinatorVersion: string;
  readonly heartbeatMs: number;
  readonly clockMs: number;
}

export interface Cancel {
  readonly runId: string;
  readonly round: number;
  readonly reason: string;
}

export interface Drain {
  readonly reconnectAfterMs: number;
  readonly ifIdle?: boolean;
}

export interface BlobRef {
  readonly hash: string;
  readonly sizeBytes: number;
}

export interface Part {
  readonly graph: BlobRef | null;
  readonly weights: readonly BlobRef[];
}

export interface Pipeline {
  readonly preprocessing: string;
  readonly trunk?: Part | null;
  readonly tail: Part | null;
  readonly labels: readonly string[];
}

export type TrainPlan = {
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  readonly base: BlobRef | null;
  readonly baseEncoding: string;
  readonly layoutHash: string;
  readonly roundKey: Uint8Array;
  readonly roundKeySignature: Uint8Array;
  readonly deadlineMs: number;
  readonly maxUploadBytesPerS?: number;
  readonly maxDownloadBytesPerS?: number;
} & (
  | { readonly work: 'fit'; readonly fit: Fit }
  | { readonly work: 'probe'; readonly probe: Probe }
  | { readonly work?: never }
);

export interface Fit {
  readonly pipeline: Pipeline | null;
  readonly training: string;
  readonly seed: number;
  readonly calibrateTrunk: boolean;
}

export interface Probe {
  readonly add: number;
}

export interface HeartbeatRequest {
  readonly runId: string;
  readonly round: number;
  readonly activity: string;
  readonly progress: number;
  readonly loss: number;
  readonly paused?: string;
  readonly capabilities?: Capabilities | null;
}

export interface HeartbeatResponse {
  readonly nextMs: number;
  /** Where the agent is not needed: close the stream and connect again after this. 0 or absent: stay. */
  readonly comeBackMs?: number;
}

export interface DownloadRequest {
  readonly hash: string;
  readonly firstChunk: number;
  readonly bases?: readonly string[];
  readonly delta?: string;
}

export interface Chunk {
  readonly data: Uint8Array;
}

export interface UploadStateRequest {
  readonly blob: BlobRef | null;
}

export interface UploadStateResponse {
  readonly nextChunk: number;
  readonly complete: boolean;
}

export interface UploadReceipt {
  readonly blob: BlobRef | null;
}

export interface ReportUpdateRequest {
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
}

export interface UpdateManifest {
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  readonly agentId: string;
  readonly baseHash: string;
  readonly layoutHash: string;
  readonly exampleCount: number;
  readonly ciphertext: BlobRef | null;
  readonly boxedKey: Uint8Array;
  readonly boxedKeyNonce: Uint8Array;
  readonly ephemeralKey: Uint8Array;
  readonly parameterCount: number;
  readonly sessionNonce: Uint8Array;
  readonly training?: TrainingReport | null;
}

export interface TrainingReport {
  readonly loss: number;
  readonly initialLoss: number;
  readonly steps: number;
  readonly epochs: number;
  readonly trainMs: number;
  readonly featureMs: number;
  readonly trunkRanges: readonly TensorRange[];
  readonly tailRanges: readonly TensorRange[];
  readonly fetchMs?: number;
  readonly sealMs?: number;
}

export interface TensorRange {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

export interface ReportFailureRequest {
  readonly instructionId: string;
  readonly runId: string;
  readonly round: number;
  readonly code: string;
  readonly message: string;
}

export interface Verdict {
  readonly accepted: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface EvaluatePlan {
  readonly taskId: string;
  readonly runId: string;
  readonly round: number;
  readonly fp32: Pipeline | null;
  readonly int8?: Pipeline | null;
  readonly deadlineMs: number;
}

export interface ReportEvaluationRequest {
  readonly instructionId: string;
  readonly runId: string;
  readonly round: number;
  readonly fp32: PrecisionMeasures | null;
  readonly int8?: PrecisionMeasures | null;
  readonly klSum: number;
}

export interface PrecisionMeasures {
  readonly examples: number;
  readonly correct: number;
  readonly lossSum: number;
  readonly latencyP50Ms: number;
  readonly latencyP95Ms: number;
}

export interface Release {
  readonly manifest: Uint8Array;
  readonly signature: Uint8Array;
}

export interface ReportInstalledRequest {
  readonly instructionId: string;
  readonly releaseId: string;
}
