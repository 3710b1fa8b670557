import { tensor, type Tensor } from '@graft/core/tensor';
import { encodeSafetensors } from '@graft/models/formats/safetensors';
import { preprocessingSchema } from '@graft/models/pipeline/preprocessing';

import { readHoldOut } from './hold-out.adapter.js';

const text = preprocessingSchema.parse({
  kind: 'text',
  tokenizer: { hash: 'a'.repeat(64), sizeBytes: 1 },
  maxLength: 3,
});
const series = preprocessingSchema.parse({ kind: 'tensor', shape: [2, 1] });
const labels = tensor('int32', [2], Int32Array.of(0, 1));
const ids = tensor('int64', [2, 3], BigInt64Array.of(1n, 2n, 0n, 3n, 0n, 0n));
const mask = tensor('int64', [2, 3], BigInt64Array.of(1n, 1n, 0n, 1n, 0n, 0n));

const read = (tensors: Record<string, Tensor>, preprocessing = text) =>
  readHoldOut(encodeSafetensors(new Map(Object.entries(tensors))), preprocessing, 2);

describe('a hold-out', () => {
  it('of texts has every tensor of an example by its name', async () => {
    const { inputs, labels: found } = await read({ labels, input_ids: ids, attention_mask: mask });
    expect(found).toEqual(labels.data);
    expect(inputs[1]).toEqual({
      input_ids: tensor('int64', [3], BigInt64Array.of(3n, 0n, 0n)),
      attention_mask: tensor('int64', [3], BigInt64Array.of(1n, 0n, 0n)),
    });
  });

  it('of tensors is called x', async () => {
    const x = tensor('float32', [2, 2, 1], Float32Array.of(1, 2, 3, 4));
    expect((await read({ labels, x }, series)).inputs).toEqual([
      { x: tensor('float32', [2, 1], Float32Array.of(1, 2)) },
      { x: tensor('float32', [2, 1], Float32Array.of(3, 4)) },
    ]);
  });

  it.each<[string, Record<string, Tensor>, string]>([
    ['without one of the tensors', { labels, input_ids: ids }, "no int64 tensor 'attention_mask' of shape [N, 3]"],
    [
      'of another type',
      { labels, input_ids: ids, attention_mask: tensor('int32', [2, 3], new Int32Array(6)) },
      'attention_mask',
    ],
    [
      'of another length',
      { labels, input_ids: ids, attention_mask: tensor('int64', [2, 4], new BigInt64Array(8)) },
      'attention_mask',
    ],
    [
      'of unequal numbers',
      { labels, input_ids: ids, attention_mask: tensor('int64', [1, 3], new BigInt64Array(3)) },
      '2 and 1 examples',
    ],
    [
      'with fewer labels',
      { labels: tensor('int32', [1], new Int32Array(1)), input_ids: ids, attention_mask: mask },
      '2 examples and 1 labels',
    ],
    [
      'with a label that is no class',
      { labels: tensor('int32', [2], Int32Array.of(0, 2)), input_ids: ids, attention_mask: mask },
      'label 2 at 1',
    ],
  ])('%s is refused', async (_, tensors, message) => {
    await expect(read(tensors)).rejects.toMatchObject({
      code: 'HOLD_OUT_INVALID',
      message: expect.stringContaining(message),
    });
  });
});
