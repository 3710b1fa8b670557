/** Lists of tensors and values that may be missing; only types have been added. */
import type { Family } from './history.js';

export const sequence: Family = {
  ConcatFromSequence: { versions: [11] },
  Optional: { versions: [15] },
  OptionalGetElement: { versions: [15, 18] },
  OptionalHasElement: { versions: [15, 18] },
  SequenceAt: { versions: [11] },
  SequenceConstruct: { versions: [11] },
  SequenceEmpty: { versions: [11] },
  SequenceErase: { versions: [11] },
  SequenceInsert: { versions: [11] },
  SequenceLength: { versions: [11] },
  SequenceMap: { versions: [17] },
  SplitToSequence: { versions: [11, 24] },
};
