/** What an agent's finished work comes to. */
import type { EvaluationReport } from '../../rounds/rounds.js';

export type Report =
  | { readonly kind: 'update'; readonly manifest: Uint8Array; readonly signature: Uint8Array }
  | ({ readonly kind: 'evaluation' } & EvaluationReport);
