/** Files that are made to hurt, through the command line and the admin API, and a disk that is full; the federation goes on. */
import { jest } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, open, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { file, node, value } from '../models/src/formats/onnx/onnx-files.contract.js';
import { encodeGraph } from '@graft/models/formats/onnx/graph-file';
import { importOnnx } from '@graft/models/formats/onnx/import-onnx';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import type { Graph } from '@graft/models/graph/graph';

import { programs, run } from './support/commands.js';
import { openFederation, type Answer, type Federation, type Problem } from './support/federation.js';
import { callRefusal, connectHostile, enrolHostile, type HostileAgent } from './support/hostile-agent.js';
import { sha256 } from './support/wire.js';

jest.setTimeout(60_000);

const megabyte = 1 << 20;
const diskBytes = 24 * megabyte;
const parameters = 300_000;
const sites = 2;
const cardFile = resolve(import.meta.dirname, '../examples/digits/recogniser.card.json');

/** A small disk for the blobs where this user may mount one; else the largest file of the coordinator is limited. */
const disk = process.platform === 'linux' ? (mayMount() ? 'mounted' : 'limited') : 'none';

function mayMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
}

let federation: Federation;
let guest: HostileAgent;

beforeAll(async () => {
  federation = await openFederation({
    prepare: async (home) => {
      await mkdir(join(home, 'blobs'));
      if (disk === 'mounted')
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'tmpfs', join(home, 'blobs')]);
    },
    cleanUp: async (home) => {
      if (disk === 'mounted') execFileSync('umount', [join(home, 'blobs')]);
    },
  });
  const { pid } = federation.ready;
  if (disk === 'limited') execFileSync('prlimit', ['--pid', String(pid), `--fsize=${diskBytes}`]);
  const agents = Array.from({ length: sites }, async (_, index) => federation.addAgent(`site-${index + 1}`));
  const [identity] = await Promise.all([enrolHostile(await federation.invite('guest')), ...agents]);
  guest = connectHostile(identity);
  await federation.untilConnected(sites + 1);
});

afterAll(async () => {
  guest?.close();
  await federation?.close();
});

const relu = { input: [value('x', [1, 3])], output: [value('y', [1, 3])], node: [node('Relu', 'x', 'y')] };

const external = {
  name: 'w',
  dims: [3],
  dataType: 1,
  dataLocation: 1,
  externalData: [{ key: 'location', value: '../../etc/passwd' }],
};

const cyclic = file({ ...relu, node: [node('Add', 'x b', 'a'), node('Relu', 'a', 'b'), node('Relu', 'b', 'y')] });

/** Our own graph file with a node that takes what it gives. */
function circular(): Graph {
  const { graph } = importOnnx(file(relu));
  return { ...graph, nodes: graph.nodes.map((one) => ({ ...one, inputs: one.outputs })) };
}

/** The start of a safetensors file whose header claims three gigabytes. */
function hugeHeader(): Uint8Array {
  const bytes = new Uint8Array(64).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, 3_000_000_000n, true);
  bytes[8] = 0x7b;
  return bytes;
}

async function importModel(bytes: Uint8Array, grownTo?: number) {
  const path = join(federation.directory, `model-${sha256(bytes).slice(0, 8)}.onnx`);
  await writeFile(path, bytes);
  if (grownTo !== undefined) await truncate(path, grownTo);
  const finished = await run(programs.graft, ['model', 'import', path, '--card', cardFile, '--dir', federation.home]);
  await rm(path);
  return finished;
}

describe('a model file', () => {
  it.each([
    [
      'that keeps its weights in ../../etc/passwd',
      file({ ...relu, initializer: [external] }),
      /"\.\.\/\.\.\/etc\/passwd"\); external data are never read, store the weights in the model file.*\[GRAFT-3004/,
    ],
    ['whose graph goes in a circle', cyclic, /cycle.*\[GRAFT-3001/],
    ['that is a safetensors file with a header of 3 GB', hugeHeader(), /\[GRAFT-3001/],
  ])('%s is refused by graft model import', async (_, bytes, message) => {
    const { exit, stderr } = await importModel(bytes);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/fix: +Export the model/);
    expect(exit).toBe(4);
  });

  it('of 3 GB is refused unread', async () => {
    const { exit, stderr } = await importModel(new Uint8Array(8), 3_000_000_000);
    expect(stderr).toMatch(/has 3000000000 bytes, the limit is 2147483647/);
    expect(exit).toBe(4);
  });

  it('whose weights claim a header of 3 GB is refused by the admin API before a run can start from it', async () => {
    const problem = await createTask({
      graph: encodeGraph(importOnnx(file(relu)).graph),
      weights: hugeHeader(),
      name: 'huge',
    });
    expect(problem).toMatchObject({
      status: 400,
      body: {
        code: 'WEIGHTS_MALFORMED',
        detail: expect.stringMatching(/header claims 3000000000 bytes, the limit is 16777216/),
      },
    });
    expect(problem.body.fix).toMatch(/Write the safetensors file again/);
  });

  it.each([
    ['goes in a circle', encodeGraph(circular()), /reads 'y', which nothing before it makes/],
    [
      'keeps its weights in ../../etc/passwd',
      file({ ...relu, initializer: [external] }, 21, { metadataProps: [{ key: 'graft.weights', value: '0' }] }),
      /external data are never read/,
    ],
  ])('whose graph %s is refused by the admin API too', async (_, graph, message) => {
    const weights = encodeSafetensors(new Map());
    const { status, body } = await createTask({ graph, weights, name: `bad-${sha256(graph).slice(0, 8)}` });
    expect(body.detail).toMatch(message);
    expect(body).toMatchObject({
      code: expect.stringMatching(/^MODEL_/),
      fix: expect.stringMatching(/^Export the model/),
    });
    expect(status).toBe(400);
  });

  /** Uploads and registers a model, and creates a task with it. */
  async function createTask(model: { graph: Uint8Array; weights: Uint8Array; name: string }): Promise<Answer<Problem>> {
    const put = async (bytes: Uint8Array) => federation.call('PUT', `/blobs/${sha256(bytes)}`, bytes);
    const card = { ...(JSON.parse(await readFile(cardFile, 'utf8')) as object), name: model.name };
    const [graph, weights] = [await put(model.graph), await put(model.weights)];
    const registered = await federation.ask<Problem>('POST', '/models', { card, graph, weights });
    if (registered.status >= 300) return registered;
    const spec = JSON.parse(await readFile(resolve(cardFile, '../task.json'), 'utf8')) as object;
    return federation.ask<Problem>('POST', '/tasks', { ...spec, name: `with-${model.name}`, model: model.name });
  }
});

describe('a full disk', () => {
  const onSmallDisk = disk === 'none' ? it.skip : it;
  const onMountedDisk = disk === 'mounted' ? it : it.skip;
  const cohort = { min: sites + 1, goal: sites + 1, max: sites + 1 };
  const blobs = (): string => join(federation.home, 'blobs');

  onSmallDisk(
    'refuses a blob and says what to do; runs go on once there is space (needs a mount or prlimit)',
    async () => {
      const large = Buffer.alloc(diskBytes + 8 * megabyte, 7);
      const { status, body } = await federation.ask<Problem>('PUT', `/blobs/${sha256(large)}`, large);
      expect(status).toBe(507);
      expect(body).toMatchObject({ code: 'DISK_FULL', detail: expect.stringContaining(blobs()) });
      expect(body.fix).toMatch(/^Free space on the disk of the data directory/);
      await rm(join(blobs(), 'partial', sha256(large)), { force: true });
      const runId = await federation.startProbe({ name: 'after', parameters, add: 0.001, rounds: 1, cohort });
      const plan = await guest.nextPlan();
      expect(await guest.answer(plan, parameters)).toMatchObject({ accepted: true });
      expect(await federation.untilCommitted(runId, 1)).toMatchObject({ committedRounds: 1 });
    },
  );

  onMountedDisk('in the middle of a round holds the uploads up, not the round (needs a mount)', async () => {
    const second = connectHostile(guest.identity);
    const runId = await federation.startProbe({ name: 'within', parameters, add: 0.001, rounds: 1, cohort });
    const plan = await second.nextPlan();
    const filler = join(blobs(), 'filler');
    await fill(filler);
    const sealed = second.seal(plan, parameters);
    const { code, message } = await callRefusal(second.upload(sealed));
    expect(code).toBe('DISK_FULL');
    expect(message).toContain('no space is left for blobs in');
    await rm(filler);
    await second.upload(sealed);
    expect(await second.report(sealed)).toMatchObject({ accepted: true });
    await federation.untilCommitted(runId, 1);
    expect((await federation.round(runId, 1)).record.updates).toMatchObject({ accepted: sites + 1, refused: 0 });
    expect(await readdir(join(blobs(), 'partial'))).toEqual([]);
    second.close();
  });

  async function fill(path: string): Promise<void> {
    const handle = await open(path, 'w');
    try {
      for (const size of [megabyte, 4096]) {
        const piece = Buffer.alloc(size);
        while (await handle.write(piece).then(({ bytesWritten }) => bytesWritten === size, isFull));
      }
    } finally {
      await handle.close();
    }
  }

  const isFull = (error: NodeJS.ErrnoException): boolean => {
    if (error.code !== 'ENOSPC') throw error;
    return false;
  };
});
