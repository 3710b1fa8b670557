#!/usr/bin/env node
/** Entry of the command graft-agent. */
import { runCommandLine } from './commands/program.driver.js';

await runCommandLine(process.argv.slice(2));
