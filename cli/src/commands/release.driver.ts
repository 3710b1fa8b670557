/** `graft release`: the models that passed the gate. */
import { writeFile } from 'node:fs/promises';

import type { Command } from 'commander';

import type { ReleaseView } from '../api/views.js';
import { bytes, share, timestamp } from '../output/format.js';
import { table } from '../output/table.js';
import { action, connect } from './context.driver.js';

export function registerRelease(program: Command): void {
  const release = program.command('release').description('releases: models that passed the gate');
  release
    .command('list')
    .description('releases, newest first')
    .action(
      action<object>(async ({ options, output }) => {
        const releases = await (await connect(options)).get<ReleaseView[]>('/releases');
        const rows = releases.map(({ id, round, precision, measures, createdAtMs }) => {
          const own = measures[precision];
          return [
            id,
            String(round),
            precision,
            share(own?.accuracy),
            own?.sizeBytes === undefined ? '-' : bytes(own.sizeBytes),
            timestamp(createdAtMs),
          ];
        });
        output.result(
          releases,
          releases.length === 0
            ? ['no releases yet: a run makes them, one for every round that passes the gate']
            : table(['id', 'round', 'precision', 'accuracy', 'size', 'released (UTC)'], rows),
          releases.map(({ id }) => id),
        );
      }),
    );
  release
    .command('export')
    .argument('<release>', 'id of a release')
    .requiredOption('-o, --out <file>', 'where to write the model')
    .description('write a release as one ONNX file')
    .action(
      action<{ out: string }>(async ({ options, args, output }) => {
        const model = await (await connect(options)).bytes(`/releases/${args[0] ?? ''}/model.onnx`);
        await writeFile(options.out, model);
        output.result(
          { file: options.out, sizeBytes: model.length },
          [`${options.out}: ${bytes(model.length)}`],
          [options.out],
        );
      }),
    );
}
