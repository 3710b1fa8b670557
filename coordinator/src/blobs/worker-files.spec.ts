import { blobsIn, filesInPlace, lending } from './worker-files.js';

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

test('a worker on a blob directory is called as it is', async () => {
  const host = {
    call: async (name: string, input: unknown) => `${name} ${String(input)}`,
    close: async () => undefined,
  };
  const lent = lending(filesInPlace('/blobs'), host);
  expect(await lent.call('fold', 7)).toBe('fold 7');
});
