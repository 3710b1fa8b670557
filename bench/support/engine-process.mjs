/** An engine in a process of its own: one JSON line in, one JSON line out. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/**
 * Starts a program and waits for its first line, at most `readyMs`; undefined where it ends or takes longer.
 * `first` is told to it before. Answers { ready, ask(command), end() }.
 */
export async function startEngine(program, args, { env = {}, readyMs = 120_000, quiet = false, first } = {}) {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', quiet ? 'ignore' : 'inherit'],
    env: { ...process.env, ...env },
  });
  if (first !== undefined) child.stdin.write(`${JSON.stringify(first)}\n`);
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

/** The Python that has PyTorch, or undefined. */
export function pythonOf() {
  const python = process.env.GRAFT_PYTHON ?? 'python3';
  return spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0 ? python : undefined;
}

/** A backend without native code may take minutes for a step. */
const tfjsReadyMs = 60_000;

/** All engines of a job that start, by name: 'graft', 'eager', PyTorch's other `modes`, and 'tfjs' where it is asked for. */
export async function startEngines(name, folder, { seed, threads, modes, loop = 1, tfjs = false }) {
  const support = import.meta.dirname;
  const args = [join(support, 'training-engine.mjs'), folder, name, String(seed), String(loop)];
  const engines = { graft: await startEngine('node', args) };
  if (engines.graft === undefined) throw new Error(`graft's engine did not start for ${name}`);
  const python = pythonOf();
  const env = { OMP_NUM_THREADS: String(threads) };
  for (const mode of python === undefined ? [] : ['eager', ...modes]) {
    const options = { env, readyMs: 240_000, quiet: mode === 'compile' };
    engines[mode] = await startEngine(python, [join(support, 'torch_engine.py'), folder, mode], options);
  }
  if (tfjs) {
    const tfjsArgs = [join(support, 'tfjs-engine.mjs'), folder, name, String(seed)];
    engines.tfjs = await startEngine('node', tfjsArgs, { env, readyMs: tfjsReadyMs, quiet: true });
  }
  return engines;
}

export async function endEngines(engines) {
  for (const engine of Object.values(engines)) await engine?.end();
}
