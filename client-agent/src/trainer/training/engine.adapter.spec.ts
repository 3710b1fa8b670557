import { jest } from '@jest/globals';

import { parseAgentConfig } from '../../config/agent-config.js';
import { openEngine } from './engine.adapter.js';

// A device is tried in a process of its own.
jest.setTimeout(60_000);

const config = {
  agentId: 'a',
  agentName: 'site',
  server: 'hub:9091',
  federation: 'hub:9090',
  fingerprint: 'sha256:00',
  identityKey: 'AAAA',
};

describe('what training runs on', () => {
  it('is the fastest device of onnxruntime unless the site says otherwise', () => {
    expect(parseAgentConfig(config, 'agent.yaml').training).toEqual({ runtime: 'onnxruntime', device: 'auto' });
    const own = { ...config, training: { runtime: 'tfjs' } };
    expect(parseAgentConfig(own, 'agent.yaml').training).toEqual({ runtime: 'tfjs', device: 'auto' });
    expect(() => parseAgentConfig({ ...config, training: { device: 'gpu' } }, 'agent.yaml')).toThrow(
      /training\.device/,
    );
  });

  it('is the processor where nothing else works, with the reasons', async () => {
    const engine = await openEngine({ runtime: 'onnxruntime', device: 'auto' });
    expect(engine.runtime.name).toBe('onnxruntime');
    if (engine.provider === 'cpu') expect(engine.about).toMatch(/^onnxruntime on cpu \(cuda: .+; webgpu: .+\)$/);
    else expect(engine.lowering).toEqual({});
  });

  it('tries nothing where the site wants the processor', async () => {
    const { about } = await openEngine({ runtime: 'onnxruntime', device: 'cpu' });
    expect(about).toBe('onnxruntime on cpu');
  });

  it('is tfjs on the backend that works', async () => {
    const { runtime, about, lowering } = await openEngine({ runtime: 'tfjs', device: 'auto' });
    expect(runtime.name).toBe('tfjs');
    expect(about).toMatch(/^tfjs: (tfjs-node-gpu|tfjs-node|wasm|cpu), @tensorflow\/tfjs-core/);
    expect(lowering).toEqual({});
  });
});
