/** From the site's words for classes to the task's numbers. */
import { GraftError } from '@graft/core/error';

import type { Example } from './dataset.js';

/** Class numbers of the examples, in their order. Throws LABEL_UNKNOWN that names the first label the task has not. */
export function classNumbers(examples: readonly Example[], taskLabels: readonly string[]): Int32Array {
  const numbers = new Map(taskLabels.map((label, index) => [label, index]));
  return Int32Array.from(examples, ({ label, name }) => {
    const number = numbers.get(label);
    if (number !== undefined) return number;
    const known = taskLabels.slice(0, 12).join(', ') + (taskLabels.length > 12 ? ', …' : '');
    throw new GraftError(
      'LABEL_UNKNOWN',
      `label '${label}' of ${name} is not one of the task's ${taskLabels.length}: ${known}`,
      {
        details: { label, record: name },
      },
    );
  });
}
