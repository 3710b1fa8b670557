/** What a training will take, told before it starts: how fast, how long, how much memory, and which way of computing was chosen. */

export interface TrainingEstimate {
  /** Examples times epochs. */
  readonly examples: number;
  readonly epochs: number;
  /** Of the training step, measured on one batch. */
  readonly examplesPerSecond: number;
  readonly remainingMs: number;
  /** Values in flight, weights and optimizer state of the training graph. */
  readonly memoryBytes: number;
  readonly trunk: TrunkChoice;
  /** What it runs on, and why not on something faster. */
  readonly device: string;
}

/**
 * 'cached': the frozen part saw each example once and its features lie on the disk. 'each-epoch': examples are augmented
 * before the cut, so it sees each one every epoch. 'none': nothing is frozen in front of what is trained.
 */
export type TrunkChoice = 'cached' | 'each-epoch' | 'none';

const sayings: Readonly<Record<TrunkChoice, string>> = {
  cached: 'the frozen part ran once, its features are cached',
  'each-epoch': 'the frozen part runs every epoch, since examples are augmented in front of it',
  none: 'the whole network is trained',
};

/** '120 examples x 3 epochs at about 800 a second: 0.5 s; 40 MB of memory; the frozen part ran once, its features are cached'. */
export function describeEstimate(
  { examples, epochs, examplesPerSecond, remainingMs, memoryBytes, trunk, device }: TrainingEstimate,
  format: { readonly duration: (ms: number) => string; readonly bytes: (bytes: number) => string },
): string {
  const rate = examplesPerSecond >= 10 ? Math.round(examplesPerSecond) : Number(examplesPerSecond.toPrecision(2));
  return (
    `${examples} examples x ${epochs} epochs at about ${rate} a second: ${format.duration(remainingMs)}; ` +
    `${format.bytes(memoryBytes)} of memory; ${sayings[trunk]}; ${device}`
  );
}
