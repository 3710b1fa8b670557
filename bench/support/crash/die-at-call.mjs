/**
 * Loaded before a program (`NODE_OPTIONS=--import`): its process dies at the n-th call of its store or its transport.
 * A store call is a query handed to `pg`, as the embedded database gets it too; a transport call is a message of the protocol,
 * read or written. $GRAFT_BENCH_CALLS/plan.json says {id, at, nth, when}; SIGUSR2 has it read, and the counts begin at zero.
 * Answered in the same folder, so that it survives the process: armed.json {id, earlier: the counts until then}, died.json {id, call}.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

import { federationService } from '@graft/protos/service-definitions.adapter';

const directory = process.env.GRAFT_BENCH_CALLS;
const [, program = ''] = process.argv;
const roles = [
  { role: 'coordinator', ends: 'coordinator/dist/main.js' },
  { role: 'agent', ends: 'client-agent/dist/main.js' },
];
const role = roles.find(({ ends }) => program.endsWith(ends))?.role;

let plan = { id: 'none' };
let counts = { store: 0, transport: 0 };

function tell(name, value) {
  const file = join(directory, `${name}.json`);
  writeFileSync(`${file}.part`, JSON.stringify(value));
  renameSync(`${file}.part`, file);
}

function arm() {
  const next = JSON.parse(readFileSync(join(directory, 'plan.json'), 'utf8'));
  const earlier = counts;
  plan = next;
  counts = { store: 0, transport: 0 };
  tell('armed', { id: plan.id, earlier });
}

function die(call) {
  tell('died', { id: plan.id, call });
  process.kill(process.pid, 'SIGKILL');
}

/** Counts a call, does it, and dies before it or once it is handed over. */
function counted(at, call, work) {
  counts[at] += 1;
  const isLast = plan.at === at && plan.nth === counts[at];
  if (isLast && plan.when === 'before') die(call);
  const result = work();
  if (isLast) setImmediate(() => die(call));
  return result;
}

/** Every message of the protocol passes one of these four functions of its method. */
function countMessages() {
  for (const method of Object.values(federationService)) {
    for (const name of ['requestSerialize', 'requestDeserialize', 'responseSerialize', 'responseDeserialize']) {
      const convert = method[name];
      method[name] = (message) => counted('transport', `${method.path} ${name}`, () => convert(message));
    }
  }
}

async function countQueries() {
  const { Client } = (await import('pg')).default;
  const query = Reflect.get(Client.prototype, 'query');
  Client.prototype.query = function (...args) {
    const text = String(args[0]?.text ?? args[0]).slice(0, 200);
    return counted('store', text, () => query.apply(this, args));
  };
}

if (isMainThread && role !== undefined && directory !== undefined) {
  countMessages();
  if (role === 'coordinator') await countQueries();
  process.on('SIGUSR2', arm);
}
