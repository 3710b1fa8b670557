/** The engine's workers: a thread for arithmetic, and a process for models, which starts with the first candidate. */
import { lending, type WorkerFiles } from '../blobs/worker-files.js';
import type { Opened } from '../rounds/admission.js';
import type { CentralEvaluation } from '../rounds/machine/state.js';
import type { Logger } from '../rounds/rounds.js';
import type { Aggregator, FoldResult, PartialSum, PartialSums } from './aggregation.js';
import { callHost, processChannel, threadChannel } from './call-host.driver.js';
import type { ModelWork, Prepared, QuantizeOutput } from './model-work.js';

export interface Workers {
  readonly aggregator: Aggregator;
  readonly work: ModelWork;
  /** In the thread of the aggregator, and ended with it. */
  readonly sums: PartialSums;
}

/** @param files where updates, checkpoints and parts lie, shared by all threads and processes of this machine */
export function startWorkers(files: WorkerFiles, logger: Logger): Workers {
  const threadFile = new URL('./arithmetic.main.js', import.meta.url);
  const processFile = new URL('./compute.main.js', import.meta.url);
  const blobDirectory = files.directory;
  const thread = lending(
    files,
    callHost('the arithmetic thread', () => threadChannel(threadFile, { blobDirectory }), logger),
  );
  const models = lending(
    files,
    callHost('the model process', () => processChannel(processFile, [blobDirectory]), logger),
  );
  return {
    aggregator: {
      open: (request) => thread.call('open', request) as Promise<Opened>,
      fold: (request) => thread.call('fold', request) as Promise<FoldResult>,
      close: () => thread.close(),
    },
    sums: {
      group: (request) => thread.call('group', request) as Promise<PartialSum>,
      join: (request) => thread.call('join', request) as Promise<PartialSum>,
      finish: (request) => thread.call('finish', request) as Promise<FoldResult>,
    },
    work: {
      prepare: (input) => thread.call('prepare', input) as Promise<Prepared>,
      quantize: (input) => models.call('quantize', input) as Promise<QuantizeOutput>,
      evaluate: (input) => models.call('evaluate', input) as Promise<CentralEvaluation>,
      close: () => models.close(),
    },
  };
}
