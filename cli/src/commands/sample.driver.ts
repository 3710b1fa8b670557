/** `graft sample`: data to try things with. */
import type { Command } from 'commander';

import { random } from '@graft/core/random';
import { GraftError } from '@graft/core/error';

import { loadDigits, writeImageFolder } from '../demo/digits.adapter.js';
import { action } from './context.driver.js';

export function registerSample(program: Command): void {
  program
    .command('sample')
    .description('data to try things with')
    .command('digits')
    .requiredOption('--out <directory>', 'where to write; one subfolder a class')
    .option('--images <n>', 'how many', Number, 100)
    .option('--classes <list>', 'which digits, separated by commas', '0,1,2,3,4,5,6,7,8,9')
    .option('--seed <n>', 'which of the 10 000', Number, 1)
    .description('handwritten digits as PNG files')
    .action(
      action<{ out: string; images: number; classes: string; seed: number }>(async ({ options, output }) => {
        const classes = options.classes.split(',').map(Number);
        const wrong = classes.find((label) => !Number.isInteger(label) || label < 0 || label > 9);
        if (wrong !== undefined)
          throw new GraftError('INVALID_REQUEST', `--classes takes digits from 0 to 9, got '${options.classes}'`);
        const digits = await loadDigits();
        const chance = random(options.seed);
        const order = classes.map((label) =>
          chance.shuffle(Array.from({ length: digits.available[label] ?? 0 }, (_, index) => index)),
        );
        const examples = Array.from({ length: options.images }, (_, position) => {
          const column = position % classes.length;
          const index = order[column]?.[Math.floor(position / classes.length)];
          if (index === undefined)
            throw new GraftError(
              'INVALID_REQUEST',
              `--images ${options.images} is more than there are of digit ${classes[column]}`,
            );
          return { label: classes[column] ?? 0, index };
        });
        await writeImageFolder(options.out, digits, examples);
        output.result(
          { directory: options.out, images: examples.length },
          [`${examples.length} images in ${options.out}`],
          [options.out],
        );
      }),
    );
}
