import { tensor, type Tensor } from '@graft/core/tensor';

import { checkTargets } from './check-targets.js';
import type { TargetInput } from './training-step.js';

const labels: TargetInput = { role: 'labels', name: 'y', of: 'logits', dtype: 'int32', shape: ['batch'] };
const weights: TargetInput = { role: 'class-weights', name: 'w', of: 'logits', dtype: 'float32', shape: [3] };
const float = (...data: number[]): Tensor => tensor('float32', [data.length], Float32Array.from(data));
const int = (...data: number[]): Tensor => tensor('int32', [data.length], Int32Array.from(data));

const check = (y: Tensor | undefined, w: Tensor) => () =>
  checkTargets({ targets: [labels, weights] }, { ...(y && { y }), w });

describe('targets', () => {
  it('pass where they fit, for a batch of any size', () => {
    expect(check(int(0, 1, 2, 1), float(1, 0.5, 0))).not.toThrow();
  });

  it.each<[string, Tensor | undefined, Tensor, RegExp]>([
    ['no labels', undefined, float(1, 1, 1), /'labels' of 'logits' is missing/],
    ['labels of another type', float(0, 1), float(1, 1, 1), /is float32 \[2\], the step takes int32 \[batch\]/],
    ['labels of another rank', tensor('int32', [1, 2], Int32Array.of(0, 1)), float(1, 1, 1), /is int32 \[1, 2\]/],
    ['no class weights', int(0), float(), /is float32 \[0\], the step takes float32 \[3\]/],
    ['too few class weights', int(0), float(1, 1), /is float32 \[2\]/],
    ['a class weight below zero', int(0), float(1, -1, 1), /the weight -1 for class 1/],
    ['class weights of zero alone', int(0), float(0, 0, 0), /no weight above 0/],
    ['a class weight that is no number', int(0), float(1, NaN, 1), /the value NaN at place 1/],
  ])('are refused with %s', (_, y, w, message) => {
    const expected = expect.objectContaining({
      code: 'DATA_UNSUITABLE',
      message: expect.stringMatching(message) as string,
    });
    expect(check(y, w)).toThrow(expected as Error);
  });
});
