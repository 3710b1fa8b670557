/** Which form of a convolution applies. */
import type { GraphBuilder } from '../graph-builder.js';
import type { Lowering } from '../lowering.js';
import { byInput } from './by-input.js';
import { byWeight } from './by-weight.js';
import type { Convolution } from './convolution.js';

export interface ConvolutionForms {
  readonly byInput: (conv: Convolution, dy: string, build: GraphBuilder) => string;
  readonly byWeight: (conv: Convolution, dy: string, build: GraphBuilder) => string;
}

export function formsOf(_: Convolution, __: Lowering): ConvolutionForms {
  return { byInput, byWeight };
}
