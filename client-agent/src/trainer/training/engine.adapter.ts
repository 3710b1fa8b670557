/** What training runs on at this site: a runtime and its device, chosen by the site's configuration and by trying. */
import { existsSync, readdirSync } from 'node:fs';

import { GraftError } from '@graft/core/error';
import { standardLowering, type Lowering } from '@graft/models/operators/lowering';
import type { ProviderName } from '@graft/models/runtime/providers';
import type { Runtime } from '@graft/models/runtime/runtime';

import type { EngineSpec } from './engine-spec.js';

export interface Engine {
  readonly runtime: Runtime;
  /** Of onnxruntime. */
  readonly provider?: ProviderName;
  readonly lowering: Lowering;
  /** For people: 'onnxruntime on cpu (cuda: no NVIDIA device; webgpu: no graphics device)'. */
  readonly about: string;
}

/** Throws RUNTIME_REFUSED with the reasons where what is configured does not work here. */
export async function openEngine({ runtime, device }: EngineSpec): Promise<Engine> {
  if (runtime === 'tfjs') return openTfjsEngine();
  const { onnxRuntime } = await import('@graft/models/runtime/onnxruntime.adapter');
  const { provider, refused } = await chooseDevice(device);
  const reasons = refused.map((each) => `${each.provider}: ${each.reason}`).join('; ');
  if (provider === undefined)
    throw new GraftError('RUNTIME_REFUSED', `training cannot run on ${device} here (${reasons})`);
  const { sessionLowering } = await import('@graft/models/runtime/blocked-convolution.adapter');
  return {
    runtime: onnxRuntime,
    provider,
    lowering: provider === 'cpu' ? await sessionLowering() : standardLowering,
    about: `onnxruntime on ${provider}${reasons === '' ? '' : ` (${reasons})`}`,
  };
}

async function openTfjsEngine(): Promise<Engine> {
  const { openTfjs } = await import('@graft/models/runtime/tfjs/tfjs.adapter');
  const tfjs = await openTfjs();
  return { runtime: tfjs, lowering: standardLowering, about: `tfjs: ${tfjs.backend}, ${tfjs.choice.about}` };
}

interface DeviceChoice {
  readonly provider: ProviderName | undefined;
  readonly refused: readonly { readonly provider: ProviderName; readonly reason: string }[];
}

/** A processor always works; each other device is tried in a process of its own, where there is a sign of one. */
async function chooseDevice(device: EngineSpec['device']): Promise<DeviceChoice> {
  const order: readonly ProviderName[] = device === 'auto' ? ['cuda', 'webgpu', 'cpu'] : [device];
  const refused: { provider: ProviderName; reason: string }[] = [];
  for (const provider of order) {
    if (provider === 'cpu') return { provider, refused };
    const reason = device === 'auto' ? missingDevice(provider) : undefined;
    if (reason !== undefined) {
      refused.push({ provider, reason });
      continue;
    }
    const { chooseProvider } = await import('@graft/models/runtime/onnxruntime-providers.adapter');
    const choice = await chooseProvider([provider]);
    if (choice.provider !== undefined) return { provider, refused };
    refused.push(...choice.refused);
  }
  return { provider: undefined, refused };
}

/** Why it need not be tried: a process that starts a GPU takes seconds. Only Linux tells by its files. */
function missingDevice(provider: Exclude<ProviderName, 'cpu'>): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (provider === 'cuda') {
    const isWsl = existsSync('/dev/dxg');
    return isWsl || existsSync('/dev/nvidiactl') ? undefined : 'there is no NVIDIA device (/dev/nvidiactl)';
  }
  const nodes = existsSync('/dev/dri') ? readdirSync('/dev/dri') : [];
  return nodes.some((name) => name.startsWith('renderD'))
    ? undefined
    : 'there is no graphics device (/dev/dri/renderD*)';
}
