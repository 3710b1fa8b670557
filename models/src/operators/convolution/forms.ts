/**
 * Which form of a convolution applies: the first row of the table whose condition holds. Each form's file has its figures.
 * All forms give the same numbers; they differ in which of the runtime's kernels do the work.
 */
import type { GraphBuilder } from '../graph-builder.js';
import type { Lowering } from '../lowering.js';
import { byInput } from './by-input.js';
import { byWeight } from './by-weight.js';
import { byInputOfColumns, byWeightOfColumns, fitsColumns, forwardByColumns } from './columns.js';
import type { Convolution } from './convolution.js';
import { denseByInputInBlocks, fitsDenseBlocks, forwardDenseInBlocks } from './dense-blocked.js';
import { byInputInBlocks, byWeightInBlocks, fitsBlocks, forwardInBlocks } from './depthwise-blocked.js';

type GradientForm = (conv: Convolution, dy: string, build: GraphBuilder) => string;

export interface ConvolutionForms {
  /** Adds the output under its name; undefined where the operator itself is the best form. */
  readonly forward?: (conv: Convolution, given: { bias: string; output: string }, build: GraphBuilder) => void;
  readonly byInput: GradientForm;
  readonly byWeight: GradientForm;
}

interface Row extends ConvolutionForms {
  readonly applies: (conv: Convolution, lowering: Lowering) => boolean;
}

const table: readonly Row[] = [
  // One filter a channel: the runtime's kernels over blocks of channels, where the session may use them.
  {
    applies: fitsBlocks,
    forward: forwardInBlocks,
    byInput: byInputInBlocks,
    byWeight: byWeightInBlocks,
  },
  // Few positions, many channels: one product over all examples.
  {
    applies: fitsColumns,
    forward: forwardByColumns,
    byInput: byInputOfColumns,
    byWeight: byWeightOfColumns,
  },
  // Some channels and larger kernels: forward and by the input over blocks of channels.
  {
    applies: fitsDenseBlocks,
    forward: forwardDenseInBlocks,
    byInput: denseByInputInBlocks,
    byWeight,
  },
  { applies: () => true, byInput, byWeight },
];

const plain: ConvolutionForms = { byInput, byWeight };

export function formsOf(conv: Convolution, lowering: Lowering): ConvolutionForms {
  return table.find(({ applies }) => applies(conv, lowering)) ?? plain;
}
