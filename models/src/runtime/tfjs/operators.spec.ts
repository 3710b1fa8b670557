/** Forward and gradient of every operator on tfjs with a backend that every machine has. */
import { describeOperators } from './operators.contract.js';
import { openTfjs } from './tfjs.adapter.js';

await describeOperators(() => openTfjs({ backends: ['wasm'] }));
