import { describeTraining } from './differential.contract.js';
import { openTfjs } from './tfjs.adapter.js';

describeTraining('cpu', () => openTfjs({ backends: ['cpu'] }));
describeTraining('wasm', () => openTfjs({ backends: ['wasm'] }));
