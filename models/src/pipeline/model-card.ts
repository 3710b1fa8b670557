/** What people must know of a model before they use it; stored beside its graph and weights. */
import { z } from 'zod';

import { preprocessingSchema } from './preprocessing.js';
import { nameSchema } from './task-spec.js';

export const modelCardSchema = z.strictObject({
  name: nameSchema,
  description: z.string().min(1).max(10_000),
  /** Where the weights come from: a package, a paper, an address. */
  source: z.string().min(1).max(2_000),
  /** SPDX identifier of the weights' licence. */
  license: z.string().min(1).max(200),
  /** The graph's input that takes the examples. */
  input: z.string().min(1),
  /** Tensors that are good places to cut, best first; numbers an example is the flattened length. */
  features: z.array(z.strictObject({ tensor: z.string().min(1), length: z.int().min(1) })).readonly(),
  preprocessing: preprocessingSchema,
});

export type ModelCard = z.infer<typeof modelCardSchema>;
