/** kill -9 of a trainer in the middle of its work, losses that are no numbers, and memory that runs out: the built process, as the daemon starts it. */
import { readdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { jest } from '@jest/globals';

import { createTrainer, type Trainer } from '../client-agent/src/trainer/trainer-process.driver.js';
import type { FitInput, Progress, TrainerCalls } from '../client-agent/src/trainer/trainer-calls.js';
import { until } from './support/commands.js';
import { siteTraining, type SiteTraining } from './support/site-training.js';

jest.setTimeout(120_000);

const program = fileURLToPath(new URL('../client-agent/dist/trainer/trainer.main.js', import.meta.url));

/** Long enough that a kill comes in the middle of it. */
const long = { epochs: 300 } as const;

interface Asked {
  readonly seen: Progress[];
  readonly over: Promise<TrainerCalls['fit']['output']>;
}

let site: SiteTraining;
let trainer: Trainer;

beforeAll(async () => {
  site = await siteTraining({ examples: 600, columns: 12, width: 32, depth: 2 });
});
afterAll(() => site.remove());
beforeEach(() => {
  trainer = createTrainer(program);
});
afterEach(async () => {
  await trainer.close();
  await rm(site.places.pauseFile, { force: true });
  await site.forget();
});

function ask(input: FitInput, onProgress: (progress: Progress) => void = () => undefined): Asked {
  const seen: Progress[] = [];
  const over = trainer.call('fit', input, {
    onProgress: (progress) => {
      seen.push(progress);
      onProgress(progress);
    },
  });
  over.catch(() => undefined);
  return { seen, over };
}

function kill(): void {
  const pid = trainer.pid();
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}

async function deltaOf(input: FitInput, { over }: Asked): Promise<Float32Array> {
  return site.open(input, (await over).update);
}

const checkpoints = async (): Promise<number> =>
  (await readdir(site.places.training).catch(() => [])).filter((name) => name.endsWith('.checkpoint')).length;

const firstStep = ({ seen }: Asked): number => seen.find(({ step }) => step !== undefined)?.step ?? NaN;

describe('a trainer that is killed', () => {
  it('in a pause goes on from its checkpoint, to the same bits as a training that nothing interrupted', async () => {
    const input = site.fit(long);
    const whole = ask(input);
    const expected = await deltaOf(input, whole);
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(0.1);

    let isTold = false;
    const broken = ask(input, ({ step }) => {
      if (step === undefined || isTold) return;
      isTold = true;
      void writeFile(site.places.pauseFile, '{}');
    });
    await until('the pause', async () => (broken.seen.at(-1)?.activity === 'paused' ? true : undefined));
    await until('a checkpoint', async () => ((await checkpoints()) === 1 ? true : undefined));
    const stoppedAt = broken.seen.at(-1)?.step ?? NaN;
    expect(stoppedAt).toBeGreaterThan(1);
    kill();
    await expect(broken.over).rejects.toMatchObject({
      code: 'TRAINER_FAILED',
      message: expect.stringMatching(/SIGKILL/),
    });
    await rm(site.places.pauseFile);

    const again = ask(input);
    const delta = await deltaOf(input, again);
    expect(firstStep(again)).toBeGreaterThan(stoppedAt);
    expect(delta).toEqual(expected);
    expect((await again.over).report).toMatchObject({
      loss: (await whole.over).report.loss,
      initialLoss: (await whole.over).report.initialLoss,
      steps: (await whole.over).report.steps,
    });
    expect(await checkpoints()).toBe(0);
  });

  it('while it caches features takes those that are whole, and comes to the same bits', async () => {
    // Seconds of computing, so that a kill comes in the middle of them.
    const slow = await siteTraining({ examples: 400, columns: 12, width: 768, depth: 300 });
    try {
      const input = slow.fit();
      const expected = await slow.open(input, (await ask(input).over).update);
      await trainer.close();
      await slow.forget();

      for (const share of [0.2, 0.6]) {
        const broken = ask(input, ({ activity, progress }) => {
          if (activity === 'features' && progress > share && progress < 1) kill();
        });
        await expect(broken.over).rejects.toMatchObject({ code: 'TRAINER_FAILED' });
        expect(broken.seen.at(-1)?.activity).toBe('features');
        expect(broken.seen.at(-1)?.progress).toBeLessThan(1);
      }
      expect(await slow.open(input, (await ask(input).over).update)).toEqual(expected);
    } finally {
      await slow.remove();
    }
  });
});

describe('a training that goes wrong', () => {
  it('with a loss that is no number names the step, and the trainer goes on', async () => {
    const pid = (): number | undefined => trainer.pid();
    const wild = ask(site.fit({ optimizer: 'sgd', learningRate: 1e30, epochs: 20 }));
    await expect(wild.over).rejects.toMatchObject({
      code: 'TRAINING_DIVERGED',
      message: expect.stringMatching(/step \d+/),
      details: { step: expect.any(Number) },
    });
    const before = pid();
    await expect(ask(site.fit()).over).resolves.toMatchObject({ exampleCount: expect.any(Number) });
    expect(pid()).toBe(before);
  });

  it('for want of memory is an error of that job alone, and the next one has a new trainer', async () => {
    await trainer.close();
    trainer = createTrainer(program, { execArgv: ['--max-old-space-size=64'] });
    const large = await siteTraining({ examples: 80_000, columns: 12, width: 8, depth: 1 });
    try {
      await expect(ask(site.fit()).over).resolves.toMatchObject({ exampleCount: expect.any(Number) });
      const before = trainer.pid();
      await expect(ask(large.fit()).over).rejects.toMatchObject({
        code: 'TRAINER_OUT_OF_MEMORY',
        message: expect.stringMatching(/heap/i),
      });
      await expect(ask(site.fit()).over).resolves.toMatchObject({ exampleCount: expect.any(Number) });
      expect(trainer.pid()).not.toBe(before);
    } finally {
      await large.remove();
    }
  });
});
