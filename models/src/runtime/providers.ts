/** Which execution provider trains: the first of an order that works, and of each before it why it was not taken. */

/** ONNX Runtime's own names: https://onnxruntime.ai/docs/execution-providers/ */
export type ProviderName = 'cuda' | 'webgpu' | 'cpu';

/** The fastest first. */
export const providerOrder: readonly ProviderName[] = ['cuda', 'webgpu', 'cpu'];

/** The reason why a provider cannot be used, or undefined where it computed a small graph rightly. */
export type ProviderProbe = (provider: ProviderName) => Promise<string | undefined>;

export interface ProviderChoice {
  /** Undefined where none works. */
  readonly provider: ProviderName | undefined;
  readonly refused: readonly { readonly provider: ProviderName; readonly reason: string }[];
}

/** Probes in order until one works. */
export async function firstProvider(order: readonly ProviderName[], probe: ProviderProbe): Promise<ProviderChoice> {
  const refused: { provider: ProviderName; reason: string }[] = [];
  for (const provider of order) {
    const reason = await probe(provider);
    if (reason === undefined) return { provider, refused };
    refused.push({ provider, reason });
  }
  return { provider: undefined, refused };
}
