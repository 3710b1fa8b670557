/** Nobody is in quarantine who has sent nothing bad: being slow, away or behind, and a coordinator that fails, are no fault. */
import { agentId, type Input } from '../input.js';
import type { Contents } from '../stores/simulated-store.js';
import { demand } from '../world/violation.js';

export function checkConduct({ runs }: Contents, { ops, config }: Input): void {
  const hostile = new Set(
    ops.flatMap((op) => (op.op === 'poison' || op.op === 'reportForged' ? [agentId(op.agent % config.agents)] : [])),
  );
  for (const { runId, run } of runs) {
    for (const [id, { quarantine }] of Object.entries(run.machine.agents)) {
      demand(
        quarantine === undefined || hostile.has(id),
        'no honest agent is quarantined',
        () => `run ${runId} has ${id} in quarantine: ${quarantine?.reason}`,
      );
    }
  }
}
