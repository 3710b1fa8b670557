import { blobsIn, lending } from './worker-files.js';

const hash = (digit: string): string => digit.repeat(64);

test('blobs are found wherever a call names them, and nothing else is taken for one', () => {
  const call = {
    updates: [{ ciphertext: { hash: hash('a'), sizeBytes: 1 }, manifest: new Uint8Array(3), agentId: hash('f') }],
    base: { round: 0, weights: { hash: hash('b'), sizeBytes: 2 }, layoutHash: hash('e') },
    holdOut: hash('c'),
    parts: new Map([['tail', { graph: { hash: hash('d'), sizeBytes: 3 } }]]),
    damaged: { hash: '../etc', sizeBytes: 4 },
    nothing: null,
  };
  expect(blobsIn(call).sort()).toEqual(['a', 'b', 'c', 'd'].map(hash));
  expect(blobsIn('text')).toEqual([]);
});

test('a worker is called while its files are lent', async () => {
  const order: string[] = [];
  const host = {
    call: async (name: string, input: unknown) => order.push(`${name} ${String(input)}`),
    close: async () => undefined,
  };
  const files = {
    directory: '/blobs',
    lend: async <T>(input: unknown, call: () => Promise<T>): Promise<T> => {
      order.push(`lend ${String(input)}`);
      const answer = await call();
      order.push('store');
      return answer;
    },
  };
  await lending(files, host).call('fold', 7);
  expect(order).toEqual(['lend 7', 'fold 7', 'store']);
});
