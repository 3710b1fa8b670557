/** kill -9 of processes that write cached features: what is read afterwards is right or absent, and the folder keeps its bound. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { jest } from '@jest/globals';

import { FeatureCache } from '../models/src/pipeline/feature-cache.adapter.js';

jest.setTimeout(60_000);

const built = pathToFileURL(join(import.meta.dirname, '../models/dist/pipeline/feature-cache.adapter.js')).href;
const length = 3000;
const recordBytes = 48 + 4 * length;
const options = { trunkHash: 'a'.repeat(64), preprocessingHash: 'b'.repeat(64), length, maxBytes: 200 * recordBytes };
const examples = 500;

/** Writes features of one example after another, for ever; every number is the example's. */
const writer = `
import { FeatureCache } from ${JSON.stringify(built)};
const cache = new FeatureCache({ ...JSON.parse(process.argv[2]), nowMs: () => Date.now() });
process.stdout.write('ready');
for (let n = 0; ; n = (n + 1) % ${examples}) cache.put(n.toString(16).padStart(64, '0'), new Float32Array(${length}).fill(n));
`;

let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'graft killed '));
  await writeFile(join(folder, 'writer.mjs'), writer);
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function startWriter(): Promise<ChildProcess> {
  const directory = join(folder, 'features');
  const child = spawn(process.execPath, [join(folder, 'writer.mjs'), JSON.stringify({ ...options, directory })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** How many examples the cache has; each of them must be its own. */
async function check(): Promise<number> {
  const directory = join(folder, 'features');
  const cache = new FeatureCache({ ...options, directory, nowMs: () => Date.now() });
  let found = 0;
  for (let n = 0; n < examples; n++) {
    const features = cache.get(n.toString(16).padStart(64, '0'));
    if (features === undefined) continue;
    found += 1;
    expect(features.every((value) => value === n)).toBe(true);
  }
  cache.close();
  for (const name of await readdir(directory)) {
    expect((await stat(join(directory, name))).size).toBeLessThanOrEqual(options.maxBytes);
  }
  return found;
}

it.each([1, 2])('after kill -9 of %p writers, again and again, no feature is wrong', async (writers) => {
  for (let round = 0; round < 5; round++) {
    const running = await Promise.all(Array.from({ length: writers }, startWriter));
    await new Promise((resolve) => setTimeout(resolve, 20 + 37 * round));
    await Promise.all(running.map(kill));
    expect(await check()).toBeGreaterThan(0);
  }
});
