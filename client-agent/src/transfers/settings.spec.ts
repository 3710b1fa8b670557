import { transfersSchema, wantsDelta } from './settings.js';

describe('the transfers of agent.yaml', () => {
  it('take rates as people write them', () => {
    expect(transfersSchema.parse({ maxUpload: '10 MB/s' })).toEqual({ maxUpload: '10 MB/s', deltas: 'auto' });
    expect(transfersSchema.safeParse({ maxUpload: '10' }).error?.issues[0]?.message).toContain("such as '10 MB/s'");
    expect(transfersSchema.safeParse({ maxDownload: '1 B/s' }).success).toBe(false);
  });

  it('ask for deltas where the line is slow, or where they are told to', () => {
    const auto = transfersSchema.parse({});
    expect(wantsDelta(auto, undefined)).toBe(false);
    expect(wantsDelta(auto, 500e6)).toBe(false);
    expect(wantsDelta(auto, 5e6)).toBe(true);
    expect(wantsDelta({ ...auto, maxDownload: '1 MB/s' }, undefined)).toBe(true);
    expect(wantsDelta({ ...auto, deltas: 'never' }, 5e6)).toBe(false);
    expect(wantsDelta({ ...auto, deltas: 'always' }, 500e6)).toBe(true);
  });
});
