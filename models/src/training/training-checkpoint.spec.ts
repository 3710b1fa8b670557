import { tensor } from '@graft/core/tensor';

import { encodeSafetensors } from '../formats/safetensors.js';
import { decodeCheckpoint, encodeCheckpoint, type TrainingCheckpoint } from './training-checkpoint.js';

const checkpoint: TrainingCheckpoint = {
  steps: 7,
  initialLoss: 2.302_585_092_994_046,
  epochLoss: 0.1 + 0.2,
  lossScale: { scale: 65_536, steady: 3 },
  state: new Map([['w', tensor('float32', [2], Float32Array.of(0.1, -0.2))]]),
};

describe('a checkpoint of a training', () => {
  it('is read as it was written, numbers to the last bit', () => {
    expect(decodeCheckpoint('key', encodeCheckpoint('key', checkpoint))).toEqual(checkpoint);
  });

  it('of another training is none', () => {
    expect(decodeCheckpoint('other', encodeCheckpoint('key', checkpoint))).toBeUndefined();
    expect(decodeCheckpoint('key', encodeSafetensors(checkpoint.state))).toBeUndefined();
  });

  it('that is cut off or says nonsense is refused', () => {
    const bytes = encodeCheckpoint('key', checkpoint);
    expect(() => decodeCheckpoint('key', bytes.subarray(0, bytes.length - 1))).toThrow(
      expect.objectContaining({ code: 'WEIGHTS_MALFORMED' }),
    );
    const nonsense = { format: 'graft-training-checkpoint-1', key: 'key', progress: '{"steps":-1}' };
    expect(() => decodeCheckpoint('key', encodeSafetensors(checkpoint.state, nonsense))).toThrow(
      /does not say where its training stands/,
    );
  });
});
