/** The forms that one training step is run in, each loaded when it is first needed: for batches of one size or of any, and in a loop. */
import { GraftError } from '@graft/core/error';

import type { Dimension, Model } from '../graph/graph.js';
import type { InputShapes } from '../operators/infer-shapes.js';
import type { Lowering } from '../operators/lowering.js';
import type { Runtime, Session, SessionOptions } from '../runtime/runtime.js';
import { buildTrainingStep } from './build-training-step.js';
import { loopOf } from './loop.js';
import { withFreeBatch } from './rewrites/free-batch.js';
import type { TrainingStep, TrainingStepOptions } from './training-step.js';

export interface LoadedStep {
  /** Of `step`, loaded for 'training'. */
  readonly session: Session;
  readonly step: TrainingStep;
}

export interface StepSourceOptions extends Omit<TrainingStepOptions, 'lowering'> {
  /** Examples of most runs. */
  readonly rows: number;
  /** Of the runtime on this machine. */
  readonly lowering?: Lowering;
  readonly threads?: SessionOptions['threads'];
  readonly provider?: SessionOptions['provider'];
}

/**
 * Most runs have batches of one size; a graph of that size lets the runtime's own operators be used. The rest of an epoch is
 * another size: one graph of any size, or where a model cannot have one, a graph for each.
 */
export class StepSource {
  /** For batches of `rows`; targets, scalars and slots are the same in every form, names of a loop apart. */
  readonly step: TrainingStep;
  private readonly model: Model;
  private readonly sessions = new Map<string, Promise<LoadedStep>>();

  /** Throws what buildTrainingStep throws. */
  constructor(
    model: Model,
    private readonly options: StepSourceOptions,
    private readonly runtime: Runtime,
  ) {
    this.model = withFreeBatch(model);
    this.step = this.build(options.rows);
  }

  /** Throws what building and the runtime throw. */
  of(rows: number): Promise<LoadedStep> {
    if (rows === this.options.rows) return this.loaded('rows', () => this.step);
    return this.loaded('any', () => this.build()).catch((error: unknown) => {
      if (!isUnsupported(error)) throw error;
      return this.loaded(`${rows} rows`, () => this.build(rows));
    });
  }

  /** Several steps of `rows` examples a run. */
  looped(): Promise<LoadedStep> {
    return this.loaded('loop', () => loopOf(this.step));
  }

  async dispose(): Promise<void> {
    const sessions = await Promise.allSettled(this.sessions.values());
    this.sessions.clear();
    for (const each of sessions) if (each.status === 'fulfilled') await each.value.session.dispose();
  }

  private loaded(form: string, make: () => TrainingStep): Promise<LoadedStep> {
    const known = this.sessions.get(form);
    if (known !== undefined) return known;
    const made = this.load(make);
    this.sessions.set(form, made);
    // What a model cannot have it never will; memory that ran out may be there the next time.
    made.catch((error: unknown) => {
      if (!isUnsupported(error) && this.sessions.get(form) === made) this.sessions.delete(form);
    });
    return made;
  }

  private async load(make: () => TrainingStep): Promise<LoadedStep> {
    const step = make();
    const { threads = 1, provider } = this.options;
    const on = { threads, purpose: 'training', ...(provider !== undefined && { provider }) } as const;
    return { step, session: await this.runtime.load(step, on) };
  }

  /** @param rows any number of them where it is left out, in standard operators */
  private build(rows?: number): TrainingStep {
    const { rows: _, threads: __, provider: ___, lowering, inputShapes, ...options } = this.options;
    try {
      return buildTrainingStep(this.model, {
        ...options,
        inputShapes: batchShapes(this.model, rows, inputShapes),
        ...(rows !== undefined && lowering !== undefined && { lowering }),
      });
    } catch (error) {
      throw fixedBatch(error, this.model, rows) ?? error;
    }
  }
}

/** Shapes of the model's inputs for `rows` examples, or any number of them; a scalar has no axis of examples. */
export function batchShapes({ graph }: Model, rows: Dimension = 'batch', known: InputShapes = {}): InputShapes {
  return Object.fromEntries(
    graph.inputs.flatMap(({ name, shape: declared }): [string, readonly Dimension[]][] => {
      const shape = known[name] ?? declared;
      return shape === undefined || shape.length === 0 ? [] : [[name, [rows, ...shape.slice(1)]]];
    }),
  );
}

const isUnsupported = (error: unknown): boolean => error instanceof GraftError && error.code === 'MODEL_UNSUPPORTED';

/** The error of a model whose file is for batches of one size and whose nodes hold to it; undefined where it is another error. */
function fixedBatch(error: unknown, { graph }: Model, rows: number | undefined): GraftError | undefined {
  if (!(error instanceof GraftError) || error.code !== 'MODEL_MALFORMED') return undefined;
  const input = graph.inputs.find(({ shape = [] }) => typeof shape[0] === 'number' && shape[0] !== rows);
  const size = input?.shape?.[0];
  if (input === undefined || size === undefined) return undefined;
  const wanted = rows === undefined ? 'any size' : `${rows}`;
  return new GraftError(
    'MODEL_UNSUPPORTED',
    `the file fixes the batch of '${input.name}' to ${size}, and with batches of ${wanted} ${error.message}; export the model with a free batch axis, or train with batches of ${size}`,
    { cause: error },
  );
}
