/** Once nothing comes or goes and nothing fails, a run knows who is connected: else it would ask the absent and overlook the present. */
import { connectedAgents, isOpen } from '../../../coordinator/src/rounds/machine/state.js';
import type { Contents } from '../stores/simulated-store.js';
import { demand } from '../world/violation.js';
import type { World } from '../world/world.js';

/** Time enough to tell the runs, and to try it again. */
const settledMs = 20_000;

export function checkPresence({ runs }: Contents, world: World): void {
  const { scheduler, ledger } = world;
  const process = world.coordinator();
  if (process === undefined || !process.isOpen() || scheduler.nowMs() - process.quietSinceMs() < settledMs) return;
  const present = [...process.hub.connected()].sort().join();
  for (const { runId, run } of runs) {
    if (!isOpen(run.machine) || ledger.holderOf(runId) !== process.name) continue;
    const known = connectedAgents(run.machine).join();
    demand(
      known === present,
      'a run knows who is connected',
      () => `run ${runId} knows '${known}', there are '${present}'`,
    );
  }
}
