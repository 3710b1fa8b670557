/** What simulated agents do with instructions: take work up, let it go, and report what came of it. */
import type * as wire from '@graft/protos/messages';
import { ciphertextBytes } from '@graft/protos/sealed/envelope';

import type { Transferred } from '../../rounds/machine/record.js';
import type { StoredRun } from '../../rounds/material.js';
import type { InstructionKind } from '../../rounds/step-rows.js';
import type { Fleet, Job } from '../agents/fleet.js';
import type { SimulatedWork } from '../work/simulated-work.js';
import type { Report } from './report.js';

export interface SimulatedAgents {
  instruct(agentId: string, instruction: wire.Instruction, atMs: number): void;
  /** Work of these kinds is not wanted any more. */
  settle(agentIds: readonly string[], kinds: readonly InstructionKind[]): void;
  /** The report on finished work. */
  finish(agentId: string, job: Job): Promise<Report>;
  /** Bytes since it was asked last, by agent. */
  transferred(): Transferred;
}

export interface AgentOptions {
  readonly run: StoredRun;
  readonly epochs: number;
  readonly work: SimulatedWork;
  readonly identityKey: Uint8Array;
}

/** Measuring is one pass forward; training is forward, backward and update. */
const passesOfTraining = 3;

export function simulatedAgents(fleet: Fleet, { run, epochs, work, identityKey }: AgentOptions): SimulatedAgents {
  const sealedBytes = ciphertextBytes(run.material.parameterCount * Float32Array.BYTES_PER_ELEMENT);
  let bytes: Record<string, { up: number; down: number }> = {};
  const move = (agentId: string, { up = 0, down = 0 }: { readonly up?: number; readonly down?: number }): void => {
    const known = bytes[agentId] ?? { up: 0, down: 0 };
    bytes[agentId] = { up: known.up + up, down: known.down + down };
  };
  const fetch = (agentId: string, blob: wire.BlobRef | null | undefined): number => {
    const down = blob === null || blob === undefined ? 0 : fleet.fetch(fleet.agentOf(agentId), blob);
    if (down > 0) move(agentId, { down });
    return down;
  };

  const train = (agentId: string, id: string, plan: wire.TrainPlan, atMs: number): void => {
    const agent = fleet.agentOf(agentId);
    const { exampleCount } = fleet.deviceOf(agent);
    const { taskId, runId, round, base, layoutHash, roundKey, roundKeySignature } = plan;
    if (base === null) return;
    const downBytes = fetch(agentId, base);
    const effort = { downBytes, examples: exampleCount * epochs, upBytes: sealedBytes };
    const dueMs = fleet.dueMs(agent, effort, atMs);
    const seed = plan.work === 'fit' ? plan.fit.seed : 0;
    const names = { taskId, runId, round, layoutHash, roundKey, roundKeySignature, identityKey };
    const training = work.train({ ...names, agentId, agent, exampleCount, base, seed }, dueMs);
    fleet.give(agent, { job: { kind: 'train', id, round, training }, effort }, atMs);
  };

  const evaluate = (agentId: string, id: string, plan: wire.EvaluatePlan, atMs: number): void => {
    const agent = fleet.agentOf(agentId);
    const { exampleCount } = fleet.deviceOf(agent);
    const checkpoint = plan.fp32?.tail?.weights.at(-1);
    if (checkpoint === undefined) return;
    const examples = Math.max(1, exampleCount / 10 / passesOfTraining);
    const measured = work.measure({ checkpoint, agents: [{ agent, exampleCount }] });
    const effort = { downBytes: fetch(agentId, checkpoint), examples, upBytes: 0 };
    fleet.give(agent, { job: { kind: 'evaluate', id, round: plan.round, measured }, effort }, atMs);
  };

  return {
    instruct: (agentId, instruction, atMs) => {
      if (instruction.kind === 'train') train(agentId, instruction.id, instruction.train, atMs);
      if (instruction.kind === 'evaluate') evaluate(agentId, instruction.id, instruction.evaluate, atMs);
    },
    settle: (agentIds, kinds) => {
      for (const agentId of agentIds) {
        const agent = fleet.agentOf(agentId);
        const job = fleet.inHand(agent);
        if (job === undefined || !kinds.includes(job.kind)) continue;
        fleet.take(agent);
        if (job.kind === 'train') job.training.withdraw();
      }
    },
    finish: async (agentId, job) => {
      const { runId } = run.machine.plan;
      if (job.kind === 'train') {
        const { manifest } = await job.training.answer;
        move(agentId, { up: sealedBytes });
        return { kind: 'update', manifest, signature: new Uint8Array() };
      }
      const [own = { examples: 0, correct: 0, lossSum: 0 }] = await job.measured;
      // How long it takes on a virtual device is the trace's to say, not a measure of the model.
      const fp32 = { ...own, latencyP50Ms: 0, latencyP95Ms: 0 };
      return { kind: 'evaluation', instructionId: job.id, runId, round: job.round, fp32, int8: null, klSum: 0 };
    },
    transferred: () => {
      const since = bytes;
      bytes = {};
      return since;
    },
  };
}
