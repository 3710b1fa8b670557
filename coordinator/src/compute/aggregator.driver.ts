/** The aggregator on a worker thread of its own, so that no arithmetic runs where the network is answered. */
import type { Opened } from '../rounds/admission.js';
import type { Logger } from '../rounds/rounds.js';
import type { Aggregator, FoldResult } from './aggregation.js';
import { callHost, threadChannel } from './call-host.driver.js';

/** @param blobDirectory where updates and checkpoints lie, shared by all threads of this machine */
export function threadAggregator(blobDirectory: string, logger: Logger): Aggregator {
  const file = new URL('./aggregation.main.js', import.meta.url);
  const host = callHost('the aggregation thread', () => threadChannel(file, { blobDirectory }), logger);
  return {
    open: (request) => host.call('open', request) as Promise<Opened>,
    fold: (request) => host.call('fold', request) as Promise<FoldResult>,
    close: () => host.close(),
  };
}
