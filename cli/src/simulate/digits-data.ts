/** The digits as a data set for a simulation: pixels in [0, 1] and labels, some of each class held out. */
import { random } from '@graft/core/random';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { Digits } from '../demo/digits.adapter.js';
import type { Example } from '../demo/split.js';

const pixels = 784;

/** Tensors `features` [N, 784], `labels` [N], and the same under `holdOut.`, in an order drawn from the seed. */
export function digitsData(digits: Digits, holdOutPerClass: number, seed: number): Map<string, Tensor> {
  const chance = random(seed);
  const held: Example[] = [];
  const train: Example[] = [];
  digits.available.forEach((count, label) => {
    const order = chance.shuffle(Array.from({ length: count }, (_, index) => ({ label, index })));
    held.push(...order.slice(0, holdOutPerClass));
    train.push(...order.slice(holdOutPerClass));
  });
  return new Map([...tensorsOf(digits, train, ''), ...tensorsOf(digits, held, 'holdOut.')]);
}

function tensorsOf(digits: Digits, examples: readonly Example[], prefix: string): [string, Tensor][] {
  const features = new Float32Array(examples.length * pixels);
  examples.forEach((example, row) =>
    features.set(
      Float32Array.from(digits.image(example), (value) => value / 255),
      row * pixels,
    ),
  );
  const labels = Int32Array.from(examples, ({ label }) => label);
  return [
    [`${prefix}features`, tensor('float32', [examples.length, pixels], features)],
    [`${prefix}labels`, tensor('int32', [examples.length], labels)],
  ];
}
