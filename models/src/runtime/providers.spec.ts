import { chooseProvider } from './onnxruntime-providers.adapter.js';
import { firstProvider, type ProviderName } from './providers.js';

describe('the choice of an execution provider', () => {
  it('is the first that works, with the reasons of those before it, and tries none after it', async () => {
    const tried: ProviderName[] = [];
    const choice = await firstProvider(['cuda', 'webgpu', 'cpu'], (provider) => {
      tried.push(provider);
      return Promise.resolve(provider === 'cuda' ? 'no library' : undefined);
    });
    expect(choice).toEqual({ provider: 'webgpu', refused: [{ provider: 'cuda', reason: 'no library' }] });
    expect(tried).toEqual(['cuda', 'webgpu']);
  });

  it('is none where nothing works', async () => {
    const choice = await firstProvider(['cuda', 'cpu'], () => Promise.resolve('broken'));
    expect(choice.provider).toBeUndefined();
    expect(choice.refused.map(({ provider }) => provider)).toEqual(['cuda', 'cpu']);
  });

  it('always finds the CPU, and says of each other provider why it was not taken', async () => {
    const { provider, refused } = await chooseProvider();
    expect(['cuda', 'webgpu', 'cpu']).toContain(provider);
    for (const each of refused) expect(each.reason).toMatch(/\S/);
    expect(await chooseProvider(['cpu'])).toEqual({ provider: 'cpu', refused: [] });
  }, 120_000);
});
