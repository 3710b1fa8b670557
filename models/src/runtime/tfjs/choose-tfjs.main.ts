/** Prints which backend of tfjs works here, as JSON. A process of its own: a broken addon may end it. */
import { chooseTfjsBackend } from './find-tfjs.adapter.js';

process.stdout.write(`${JSON.stringify(await chooseTfjsBackend())}\n`);
