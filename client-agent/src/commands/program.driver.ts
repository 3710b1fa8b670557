/** The command line of graft-agent: commands, options, help texts and exit codes. */
import { GraftError } from '@graft/core/error';
import { Command, CommanderError, InvalidArgumentError } from 'commander';

import type { Terminal } from '../output/output.js';
import { agentVersion } from '../version.js';
import { printError, runBody, type CommandBody } from './context.driver.js';

/** Exit code of a command line that cannot be understood. */
const badArguments = 4;

const exitCodes = `
Exit codes: 0 done, 1 what was asked for failed, 2 cannot connect or not allowed, 3 time-out,
            4 bad arguments, configuration or preflight, 5 a bug of ours, 130 interrupted.`;

/** Runs one command line and returns its exit code. */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const outcome = { exit: 0 };
  const action =
    <Options extends object>(load: () => Promise<CommandBody<Options>>) =>
    async (...parameters: unknown[]): Promise<void> => {
      outcome.exit = await runBody(await load(), parameters.at(-1) as Command, terminal);
    };
  const program = createProgram(action);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: () => undefined,
    });
  }
  try {
    await program.parseAsync([...args], { from: 'user' });
    return outcome.exit;
  } catch (error) {
    if (!(error instanceof CommanderError)) return printError(error, { json: args.includes('--json'), terminal });
    return endOf(error, { program, json: args.includes('--json'), terminal });
  }
}

/** A command's file is loaded when it runs: the daemon has no use for the image decoder of `check`. */
type Action = <Options extends object>(
  load: () => Promise<CommandBody<Options>>,
) => (...parameters: unknown[]) => Promise<void>;

function createProgram(action: Action): Command {
  const program = new Command('graft-agent')
    .description('The agent of a federation: trains on the data of this site, and sends nothing but sealed updates.')
    .version(agentVersion)
    .option('--dir <path>', 'directory of the agent (GRAFT_AGENT_DIR, default ~/.graft-agent)')
    .option('--json', 'print one JSON envelope on stdout')
    .addHelpText(
      'after',
      `
Joining takes three commands:
  graft-agent enroll --server hub.example:9091 --token TOKEN --fingerprint sha256:... --data data.yaml
  graft-agent check
  graft-agent start
${exitCodes}`,
    );
  program
    .command('enroll')
    .description('make the keys of this site and have the coordinator certify them; the keys never leave')
    .requiredOption('--server <host:port>', 'enrolment address, from the operator')
    .requiredOption('--token <token>', 'one-time token, from the operator')
    .requiredOption('--fingerprint <sha256:hex>', "fingerprint of the coordinator's CA, from the operator")
    .option('--data <path>', 'data.yaml, or a folder with one subfolder of images a class')
    .option('--replace', 'enrol anew in a directory that is enrolled already: new keys, new certificate')
    .option('--timeout <seconds>', 'give up after this long', seconds, 30)
    .addHelpText(
      'after',
      `
Example:
  graft-agent enroll --server hub.example:9091 --token gt_4f... --fingerprint sha256:559c... --data images/`,
    )
    .action(action(async () => (await import('./enroll.driver.js')).enroll));
  program
    .command('check')
    .description('tell what would go wrong before it does; nothing is sent but the handshake')
    .option('--timeout <seconds>', 'wait this long for the server', seconds, 10)
    .addHelpText('after', '\nExample:\n  graft-agent check --dir /srv/graft-agent\n')
    .action(action(async () => (await import('./check.driver.js')).check));
  program
    .command('start')
    .description('run the agent in the foreground; Ctrl-C or SIGTERM ends it: see graft-agent drain')
    .option('--timeout <seconds>', 'give up when there is no connection for this long (default: never)', seconds)
    .addHelpText('after', '\nExamples:\n  graft-agent start\n  graft-agent start --json > events.jsonl\n')
    .action(action(async () => (await import('./start.driver.js')).start));
  program
    .command('status')
    .description('show what the agent is doing, its last rounds and its release')
    .addHelpText('after', '\nExample:\n  graft-agent status --json\n')
    .action(action(async () => (await import('./status.driver.js')).status));
  program
    .command('pause')
    .description('stop computing for the federation at the next step, also across restarts, until resume')
    .option('--reason <text>', 'for people at the coordinator, who see the site as paused')
    .addHelpText('after', "\nExamples:\n  graft-agent pause\n  graft-agent pause --reason 'backup until noon'\n")
    .action(action(async () => (await import('./pause.driver.js')).pause));
  program
    .command('resume')
    .description('go on where pause stopped')
    .addHelpText('after', '\nExample:\n  graft-agent resume\n')
    .action(action(async () => (await import('./pause.driver.js')).resume));
  program
    .command('drain')
    .description('have the running agent finish and report its work, take nothing new, and end')
    .option('--limit <seconds>', 'leave the work with its checkpoint after this long', seconds, 300)
    .addHelpText(
      'after',
      `
A first SIGTERM or Ctrl-C does the same with a limit of 5 seconds (stopLimitMs in agent.yaml), a second one stops
with a checkpoint. Before an upgrade:
  graft-agent drain --limit 600 && npm install -g graft-agent && graft-agent start`,
    )
    .action(action(async () => (await import('./drain.driver.js')).drain));

  program
    .command('outbox')
    .description('list everything that left this site, and what waits to be sent')
    .option('--last <count>', 'only the newest entries', count)
    .addHelpText('after', '\nExample:\n  graft-agent outbox --last 20\n')
    .action(action(async () => (await import('./outbox.driver.js')).outbox));
  program
    .command('predict')
    .description('answer from the installed release; needs no coordinator')
    .argument('<file...>', 'images; for a model of numeric features, CSV files with one row an example')
    .option('--release <id>', 'another installed release than the current one')
    .addHelpText('after', '\nExamples:\n  graft-agent predict scan.png\n  graft-agent predict --json images/7/*.png\n')
    .action(action(async () => (await import('./predict.driver.js')).predict));
  return program;
}

interface Ending {
  readonly program: Command;
  readonly json: boolean;
  readonly terminal: Terminal;
}

/** Exit code of what commander throws: help and version are answers, the rest are bad arguments. */
function endOf(error: CommanderError, { program, json, terminal }: Ending): number {
  if (error.exitCode === 0) return 0;
  const isBare = error.code === 'commander.help';
  if (isBare && !json) {
    terminal.err(program.helpInformation());
    return badArguments;
  }
  const message = isBare ? 'no command was given' : error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return printError(new GraftError('INVALID_ARGUMENTS', message), { json, terminal });
}

function seconds(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('expected a number of seconds above 0');
  return value;
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number of at least 1');
  return value;
}
