/** The operators of each domain that a file may use, and which versions of the domain can be read. */
import { internalOpset } from '../../../graph/graph.js';
import { activation } from './activation.js';
import { arithmetic } from './arithmetic.js';
import { attention } from './attention.js';
import { classic } from './classic.js';
import { controlFlow } from './control-flow.js';
import type { Family, OperatorHistory } from './history.js';
import { late } from './late.js';
import { layer } from './layer.js';
import { normalization } from './normalization.js';
import { quantization } from './quantization.js';
import { random } from './random.js';
import { reduction } from './reduction.js';
import { resize } from './resize.js';
import { sequence } from './sequence.js';
import { shape } from './shape.js';
import { signal } from './signal.js';
import { text } from './text.js';
import { vision } from './vision.js';

export interface Domain {
  /** The version that everything behind the door has. */
  readonly internal: number;
  /** Versions that a file may have. */
  readonly oldest: number;
  readonly newest: number;
  readonly operators: ReadonlyMap<string, OperatorHistory>;
}

const tableOf = (...families: readonly Family[]): ReadonlyMap<string, OperatorHistory> =>
  new Map(families.flatMap((family) => Object.entries(family)));

const main: Domain = {
  internal: internalOpset,
  oldest: 1,
  newest: 26,
  operators: tableOf(
    activation,
    arithmetic,
    attention,
    controlFlow,
    late,
    layer,
    normalization,
    quantization,
    random,
    reduction,
    resize,
    sequence,
    shape,
    signal,
    text,
    vision,
  ),
};

export const domains: ReadonlyMap<string, Domain> = new Map([
  ['', main],
  ['ai.onnx.ml', { internal: 4, oldest: 1, newest: 5, operators: tableOf(classic) }],
]);

/** The version of its domain that a node needs: the internal one, or the birth of its operator where that is later. */
export function versionNeeded(domain: string, op: string): number | undefined {
  const known = domains.get(domain);
  const history = known?.operators.get(op);
  if (known === undefined || history === undefined) return known?.internal;
  return history.late === true ? Math.max(known.internal, history.versions[0] ?? 0) : known.internal;
}
