/**
 * What the server knows of the engine that runs rounds: it hands in what agents and operators say, and gets values back.
 * Reports are answered with a verdict whatever they hold; nothing an agent sends makes a call here reject.
 */

/** Why a report was refused; the wire carries these words. */
export const refusalReasons = [
  'late',
  'duplicate',
  'stale-base',
  'unknown-round',
  'not-selected',
  'bad-signature',
  'bad-layout',
  'bad-envelope',
  'not-finite',
  'norm',
  'example-count',
  'size',
  'incomplete',
  'malformed',
] as const;

export type RefusalReason = (typeof refusalReasons)[number];

/** What became of a report; the shape of graft.v1.Verdict. */
export interface Verdict {
  readonly accepted: boolean;
  /** Empty when accepted. */
  readonly reason: RefusalReason | '';
  /** One sentence with the values, for people. */
  readonly message: string;
}

/** graft.v1.ReportFailureRequest. */
export interface FailureReport {
  readonly instructionId: string;
  readonly runId: string;
  readonly round: number;
  readonly code: string;
  readonly message: string;
}

/** graft.v1.PrecisionMeasures. */
export interface PrecisionMeasures {
  readonly examples: number;
  readonly correct: number;
  readonly lossSum: number;
  readonly latencyP50Ms: number;
  readonly latencyP95Ms: number;
}

/** graft.v1.ReportEvaluationRequest; a measure that is absent may come as null or undefined. */
export interface EvaluationReport {
  readonly instructionId: string;
  readonly runId: string;
  readonly round: number;
  readonly fp32?: PrecisionMeasures | null | undefined;
  readonly int8?: PrecisionMeasures | null | undefined;
  readonly klSum: number;
}

/** graft.v1.ReportInstalledRequest. */
export interface InstalledReport {
  readonly instructionId: string;
  readonly releaseId: string;
}

/** graft.v1.HeartbeatRequest. */
export interface Heartbeat {
  readonly runId: string;
  readonly round: number;
  readonly activity: string;
  readonly progress: number;
  readonly loss: number;
}

/** The server's side of instruction delivery. */
export interface InstructionHub {
  /** Instructions of this agent changed: send every unsettled row on its stream, if it has one. Never throws. */
  wake(agentId: string): void;
  /** Agents with an open instruction stream that take work now. */
  connected(): readonly string[];
}

/** What the engine writes its log to; pino has this shape. */
export interface Logger {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** The engine. */
export interface Rounds {
  /** Starts a run of a task and answers its id. Throws NOT_FOUND for an unknown task, INVALID_REQUEST for one that cannot run. */
  start(taskId: string, options: { readonly rounds?: number; readonly seed: number }): Promise<string>;
  /** Stops a run; a run that is over already stays as it is. Throws NOT_FOUND for an unknown run. */
  stop(runId: string, reason: string): Promise<void>;
  /** @param manifest the bytes of an UpdateManifest that `signature` signs */
  reportUpdate(agentId: string, manifest: Uint8Array, signature: Uint8Array): Promise<Verdict>;
  reportFailure(agentId: string, report: FailureReport): Promise<Verdict>;
  reportEvaluation(agentId: string, report: EvaluationReport): Promise<Verdict>;
  reportInstalled(agentId: string, report: InstalledReport): Promise<Verdict>;
  /** Call when an agent's instruction stream has opened, and when it has closed. */
  agentConnected(agentId: string): Promise<void>;
  agentLost(agentId: string): Promise<void>;
  /** Its site takes no work, whether its stream stays open or has just opened; `agentConnected` when it does again. */
  agentPaused(agentId: string, reason: string): Promise<void>;
  /** A heartbeat: kept in memory only, it extends a deadline that would otherwise abandon the round. */
  progress(agentId: string, heartbeat: Heartbeat): void;
  /** The activity and progress last heard of each agent, for the admin API. */
  activity(): ReadonlyMap<string, Heartbeat & { readonly atMs: number }>;
  /** Call once at start, before agents are let in: takes over the runs of a coordinator that died, and goes on. */
  resume(): Promise<void>;
  /** Finishes the event in hand, gives back the leases, ends worker and child process. */
  shutdown(): Promise<void>;
}
