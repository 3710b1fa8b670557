/**
 * Judges cases in a process of its own: some models end the process in which ONNX Runtime loads them.
 * The case at which it ends is recorded with the step, and a new process goes on with the next.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./one-case.mjs', import.meta.url));

/** How long one step of a case may take before its process is ended. */
const patienceMs = 120_000;

export async function judge(cases) {
  const verdicts = [];
  for (let next = 0; next < cases.length;) {
    const { done, step, reason } = await run(cases.slice(next));
    verdicts.push(...done);
    next += done.length;
    if (next >= cases.length) break;
    if (step === '') throw new Error(`the judging process ${reason} before its first step`);
    verdicts.push(ended(cases[next], step, reason));
    next++;
  }
  return verdicts;
}

/** The verdicts until the process ends, and the step it was at. */
function run(cases) {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const done = [];
  let [step, reason, timer] = ['', '', undefined];
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      reason = `took over ${patienceMs / 1000} s`;
      child.kill('SIGKILL');
    }, patienceMs);
  };
  watch();
  createInterface({ input: child.stdout }).on('line', (line) => {
    watch();
    const message = JSON.parse(line);
    if ('step' in message) step = message.step;
    else done.push(message);
  });
  child.stdin.on('error', () => {});
  child.stdin.end(cases.map((each) => `${JSON.stringify(each)}\n`).join(''));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ done, step, reason: reason || `ended the process (${signal ?? code})` });
    });
  });
}

function ended({ name }, step, reason) {
  return { name, runs: step !== 'runtime', [step]: { ok: false, reason } };
}
