/** An engine in a process of its own: one JSON line in, one JSON line out. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/**
 * Starts a program and waits for its first line, at most `readyMs`; undefined where it ends or takes longer.
 * Answers { ready, ask(command), end() }.
 */
export async function startEngine(program, args, { env = {}, readyMs = 120_000, quiet = false } = {}) {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', quiet ? 'ignore' : 'inherit'],
    env: { ...process.env, ...env },
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} ${args[0]} ended`);
    return JSON.parse(value);
  };
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, readyMs);
  });
  const ready = await Promise.race([next().catch(() => undefined), late]);
  clearTimeout(timer);
  if (ready === undefined) {
    child.kill('SIGKILL');
    await ended;
    return undefined;
  }
  return {
    ready,
    ask: (command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return next();
    },
    end: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
