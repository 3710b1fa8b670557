/** One process of a simulation's pool: native code runs here. Its arguments are the folder of the blobs and a file with the Laboratory. */
import { readFile } from 'node:fs/promises';

import { openBlobDirectory } from '../../blobs/blob-directory.adapter.js';
import { answerCall, type CallRequest } from '../../compute/calls.js';
import { openLaboratory } from './laboratory.adapter.js';
import type { Laboratory, MeasureRequest, TrainRequest } from './simulated-work.js';

const [blobDirectory = '', file = ''] = process.argv.slice(2);
const blobs = await openBlobDirectory(blobDirectory);
const laboratory = await openLaboratory(JSON.parse(await readFile(file, 'utf8')) as Laboratory, blobs);
const handlers = {
  begin: () => laboratory.begin(),
  train: (request: TrainRequest) => laboratory.train(request),
  measure: (request: MeasureRequest) => laboratory.measure(request),
};

process.on('message', (request: CallRequest) => {
  void answerCall(handlers, request).then((reply) => process.send?.(reply));
});
// The simulation has ended: so has the reason to be here.
process.on('disconnect', () => process.exit(0));
