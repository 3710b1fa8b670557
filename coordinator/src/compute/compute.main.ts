/**
 * The process that quantizes and evaluates: native code runs here and not in the server, because it blocks, and may abort.
 * Started by model-work.driver.ts with the folder of the blobs as its argument.
 */
import { openBlobDirectory } from '../blobs/blob-directory.adapter.js';
import { answerCall, type CallRequest } from './calls.js';
import { createEvaluator } from './evaluate.adapter.js';
import type { EvaluateInput, QuantizeInput } from './model-work.js';
import { quantizeCandidate } from './quantize.adapter.js';

const blobs = await openBlobDirectory(process.argv[2] ?? '');
const evaluator = createEvaluator(blobs);
const handlers = {
  quantize: (input: QuantizeInput) => quantizeCandidate(input, blobs),
  evaluate: (input: EvaluateInput) => evaluator.evaluate(input),
};

process.on('message', (request: CallRequest) => {
  void answerCall(handlers, request).then((reply) => process.send?.(reply));
});
// The server has gone: so has the reason to be here.
process.on('disconnect', () => process.exit(0));
