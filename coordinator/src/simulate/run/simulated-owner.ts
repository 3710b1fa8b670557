/**
 * The owner of a simulated run: the coordinator's own step and rows, kept in memory instead of a database. Each event is
 * handled at the virtual time that the simulation has reached.
 */
import type { EventContext, ReportedUpdate } from '../../rounds/engine-store.js';
import type { Step } from '../../rounds/machine/effect.js';
import { step } from '../../rounds/machine/machine.js';
import type { StoredRun } from '../../rounds/material.js';
import type { MakeEvent, RunOwner } from '../../rounds/run-owner.driver.js';
import { stepRows, type RowSources, type StepRows } from '../../rounds/step-rows.js';

export interface SimulatedOwner extends RunOwner {
  /** What the last event made; taken once, in the order in which it was made. */
  takeRows(): readonly StepRows[];
  /** Accepted updates, as the store answers them. */
  updates(
    runId: string,
    round: number,
    nonces: readonly string[],
  ): Promise<readonly ({ readonly agentId: string } & ReportedUpdate)[]>;
  /** Forgets updates that a commit has folded; answers their ciphertexts. */
  forgetUpdates(nonces: readonly string[]): readonly string[];
}

export interface OwnerPorts {
  readonly sources: RowSources;
  nowMs(): number;
  /** Bytes since it was asked last, by agent. */
  transferred(): NonNullable<EventContext['transferred']>;
}

export function simulatedOwner(first: StoredRun, ports: OwnerPorts): SimulatedOwner {
  let run = first;
  const made: StepRows[] = [];
  /** By nonce. */
  const accepted = new Map<string, { readonly agentId: string; readonly round: number } & ReportedUpdate>();

  const handle = (make: MakeEvent, context: EventContext): Step | undefined => {
    const untimed = make(run.machine);
    if (untimed === undefined) return undefined;
    const result = step(run.machine, { ...untimed, atMs: ports.nowMs() });
    if (result.effects.length === 0) {
      // Who came and went: a row of its own would say nothing that the state does not.
      run = { ...run, machine: result.state };
      return result;
    }
    const rows = stepRows(run, result, { ...context, transferred: ports.transferred() }, ports.sources);
    run = rows.run;
    made.push(rows);
    const { report } = context;
    if (report !== undefined && rows.update?.accepted === true) accepted.set(report.nonce, report);
    return result;
  };

  return {
    lease: { runId: first.machine.plan.runId, fence: 1 },
    current: () => run,
    feed: async (make, context = {}) => handle(make, context),
    resume: async () => undefined,
    begin: async () => undefined,
    retire: () => undefined,
    close: async () => undefined,
    takeRows: () => made.splice(0),
    updates: async (_runId, round, nonces) =>
      nonces.flatMap((nonce) => {
        const update = accepted.get(nonce);
        return update?.round === round ? [update] : [];
      }),
    forgetUpdates: (nonces) =>
      nonces.flatMap((nonce) => {
        const update = accepted.get(nonce);
        accepted.delete(nonce);
        return update === undefined ? [] : [update.ciphertext.hash];
      }),
  };
}
