/** Options of a training step on tfjs with a backend that every machine has. */
import { describeOptions } from './options.contract.js';
import { openTfjs } from './tfjs.adapter.js';

describeOptions('wasm', () => openTfjs({ backends: ['wasm'] }));
