/** From an instruction to work, and the work done: which job serves it, when it goes first, and when it is not for this site. */
import { GraftError } from '@graft/core/error';
import type * as wire from '@graft/protos/messages';

import type { AgentConfig } from '../config/agent-config.js';
import type { AgentContext, JobControl } from '../jobs/agent-context.js';
import { evaluate } from '../jobs/evaluate-job.driver.js';
import { install } from '../jobs/install-job.driver.js';
import { train } from '../jobs/train-job.driver.js';
import { cancelled } from './connection.driver.js';
import type { Job } from './instruction-queue.js';
import type { OutboxRecord } from './outbox.adapter.js';

export type Work = Extract<wire.Instruction, { kind: 'train' | 'evaluate' | 'install' }>;

/** Longer ids name no file on most systems. */
const longestId = 128;

/** Why an instruction is left alone; undefined for one that this version knows. */
export function whyIgnored({ id, kind }: wire.Instruction): string | undefined {
  if (kind === undefined) {
    return 'it is of a kind that this version does not know; a newer graft-agent may know it';
  }
  if (kind === 'cancel') return undefined;
  if (id === '' || id.length > longestId)
    return `its id has ${id.length} characters, from 1 to ${longestId} are expected`;
  return undefined;
}

/** @param tasks what agent.yaml says of tasks, by name */
export function jobOf(instruction: Work, tasks: AgentConfig['tasks']): Job<Work> {
  const { id, kind, task = '', priority = 0 } = instruction;
  const common = { id, task, priority: settings(tasks, task)?.priority ?? priority, body: instruction };
  switch (kind) {
    case 'train':
      return { ...common, kind, runId: instruction.train.runId, round: instruction.train.round };
    case 'evaluate':
      return { ...common, kind, runId: instruction.evaluate.runId, round: instruction.evaluate.round };
    default:
      return { ...common, kind, runId: '', round: 0 };
  }
}

/** Throws TASK_DECLINED where the site takes no part in the task, and what the job throws. */
export async function perform(
  context: AgentContext,
  { id, task, body }: Job<Work>,
  control: JobControl,
): Promise<OutboxRecord> {
  if (settings(context.config.tasks, task)?.accept === false) {
    throw new GraftError('TASK_DECLINED', `the site takes no part in task '${task}': agent.yaml says so`);
  }
  switch (body.kind) {
    case 'train':
      return train(context, { id, plan: body.train }, control);
    case 'evaluate':
      return evaluate(context, { id, plan: body.evaluate }, control);
    default:
      return install(context, { id, release: body.install }, control);
  }
}

function settings(tasks: AgentConfig['tasks'], task: string): AgentConfig['tasks'][string] | undefined {
  return Object.hasOwn(tasks, task) ? tasks[task] : undefined;
}

/** A trainer that died is replaced once; a second death is the job's. */
export async function attemptTwice<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted) throw cancelled();
    if (!(error instanceof GraftError && error.code === 'TRAINER_FAILED')) throw error;
    return work();
  }
}
