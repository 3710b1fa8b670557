/** Texts. No operator of them has changed. */
import type { Family } from './history.js';

export const text: Family = {
  RegexFullMatch: { versions: [20] },
  StringConcat: { versions: [20] },
  StringNormalizer: { versions: [10] },
  StringSplit: { versions: [20] },
  TfIdfVectorizer: { versions: [9] },
};
