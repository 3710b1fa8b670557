/** `graft model` and `graft task`: what the coordinator can fine-tune, and what it is asked to. */
import { readFile } from 'node:fs/promises';

import type { Command } from 'commander';
import { z } from 'zod';

import { GraftError } from '@graft/core/error';
import { modelCardSchema } from '@graft/models/pipeline/model-card';
import { taskSpecSchema } from '@graft/models/pipeline/task-spec';

import { importModel } from '../api/upload.adapter.js';
import type { ModelView, TaskView } from '../api/views.js';
import { bytes, timestamp } from '../output/format.js';
import { table } from '../output/table.js';
import { action, connect } from './context.driver.js';

/** JSON of a file, checked by a schema; the error names the file and every field that is wrong. */
async function readSpec<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `cannot read ${file}`, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GraftError('INVALID_REQUEST', `${file} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new GraftError('INVALID_REQUEST', `${file}: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
  return parsed.data;
}

export function registerLibrary(program: Command): void {
  const model = program.command('model').description('pretrained models in the coordinator’s library');
  model
    .command('import')
    .argument('<file>', 'an ONNX file')
    .requiredOption('--card <file>', 'JSON model card: name, source, licence, input, features, preprocessing')
    .description('import a model file into the library')
    .addHelpText(
      'after',
      '\nExample:\n  graft model import recogniser.onnx --card examples/digits/recogniser.card.json',
    )
    .action(
      action<{ card: string }>(async ({ options, args, output }) => {
        const card = await readSpec(options.card, modelCardSchema);
        const api = await connect(options);
        output.progress(`importing ${args[0]}`);
        const added = await importModel(api, args[0] ?? '', card);
        output.result(
          added,
          [
            `${added.name} imported: ${added.graph.sizeBytes > 0 ? bytes(added.graph.sizeBytes) : '0 B'} graph, ${bytes(added.weights.sizeBytes)} weights`,
            `next: graft task create TASK.json`,
          ],
          [added.id],
        );
      }),
    );
  model
    .command('list')
    .description('models in the library')
    .action(
      action<object>(async ({ options, output }) => {
        const models = await (await connect(options)).get<ModelView[]>('/models');
        const rows = models.map((one) => [
          one.name,
          bytes(one.weights.sizeBytes),
          one.card.license,
          timestamp(one.createdAtMs),
        ]);
        output.result(
          models,
          models.length === 0
            ? ['no models yet: graft model import FILE --card CARD.json']
            : table(['name', 'weights', 'licence', 'imported (UTC)'], rows),
          models.map(({ name }) => name),
        );
      }),
    );
  model
    .command('show')
    .argument('<name>', 'name or id of a model')
    .description('the card of a model')
    .action(
      action<object>(async ({ options, args, output }) => {
        const one = await (await connect(options)).get<ModelView>(`/models/${encodeURIComponent(args[0] ?? '')}`);
        const { card } = one;
        output.result(one, [
          `${card.name}: ${card.description}`,
          `source       ${card.source}`,
          `licence      ${card.license}`,
          `input        ${card.input}, ${JSON.stringify(card.preprocessing)}`,
          ...card.features.map(({ tensor, length }) => `features     ${tensor}, ${length} numbers`),
          `graph        sha256 ${one.graph.hash}, ${bytes(one.graph.sizeBytes)}`,
          `weights      sha256 ${one.weights.hash}, ${bytes(one.weights.sizeBytes)}`,
        ]);
      }),
    );

  const task = program.command('task').description('what the federation is asked to learn');
  task
    .command('create')
    .argument('<file>', 'JSON task: model, features, labels, scope, training, rounds, cohort, gate')
    .description('create a task')
    .addHelpText('after', '\nExample:\n  graft task create examples/digits/task.json')
    .action(
      action<object>(async ({ options, args, output }) => {
        const spec = await readSpec(args[0] ?? '', taskSpecSchema);
        const created = await (await connect(options)).post<TaskView>('/tasks', spec);
        output.result(
          created,
          [`task ${created.name} created (${created.id})`, `next: graft run start ${created.name}`],
          [created.id],
        );
      }),
    );
  task
    .command('list')
    .description('tasks')
    .action(
      action<object>(async ({ options, output }) => {
        const tasks = await (await connect(options)).get<TaskView[]>('/tasks');
        const rows = tasks.map((one) => [one.name, one.kind, one.id, timestamp(one.createdAtMs)]);
        output.result(
          tasks,
          tasks.length === 0
            ? ['no tasks yet: graft task create TASK.json']
            : table(['name', 'kind', 'id', 'created (UTC)'], rows),
          tasks.map(({ id }) => id),
        );
      }),
    );
}
