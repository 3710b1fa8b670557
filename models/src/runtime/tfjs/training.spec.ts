/** The runtime tfjs on the backends that every machine has. */
import { describeTraining } from './differential.contract.js';
import { openTfjs } from './tfjs.adapter.js';

describeTraining('wasm', () => openTfjs({ backends: ['wasm'] }));
// Plain JavaScript: a hundred times slower, so that the deep nets are left to the others.
describeTraining('cpu', () => openTfjs({ backends: ['cpu'] }), [
  'a dense head',
  'a convolutional net',
  'a transformer',
]);
