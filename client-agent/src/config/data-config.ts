/** data.yaml: where the site's own labelled examples lie. Relative paths are resolved against the file. */
import { GraftError } from '@graft/core/error';
import { z } from 'zod';

import { firstIssue } from './agent-config.js';

/** Renames the site's labels to those of the task: `labels: { zero: "0" }`. */
const labels = z.record(z.string(), z.coerce.string()).optional();

export const dataConfigSchema = z.discriminatedUnion('format', [
  /** A folder with one subfolder a class; the subfolder's name is the label. */
  z.strictObject({ format: z.literal('image-folder'), path: z.string().min(1), labels }),
  /** A CSV file with a header: one labelled example a row, an image path or numbers. */
  z
    .strictObject({
      format: z.literal('csv'),
      path: z.string().min(1),
      label: z.string().min(1),
      image: z.string().min(1).optional(),
      columns: z.array(z.string().min(1)).min(1).max(100_000).optional(),
      labels,
    })
    .refine((csv) => (csv.image === undefined) !== (csv.columns === undefined), {
      message: "name either 'image' (a column of paths) or 'columns' (numeric columns)",
    }),
]);

export type DataConfig = z.infer<typeof dataConfigSchema>;

/** Checks parsed YAML. Throws DATA_CONFIG_INVALID that names the first field that is wrong. */
export function parseDataConfig(source: unknown, file: string): DataConfig {
  const parsed = dataConfigSchema.safeParse(source);
  if (parsed.success) return parsed.data;
  throw new GraftError('DATA_CONFIG_INVALID', `${file}: ${firstIssue(parsed.error)}`, { cause: parsed.error });
}
