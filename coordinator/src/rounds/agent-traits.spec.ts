import { describe, expect, it } from '@jest/globals';

import { traitsOf } from './agent-traits.js';

describe('the traits of an agent', () => {
  it('are the tags of its operator, of its site and of its device', () => {
    const capabilities = { device: 'cuda', threads: 4, tags: ['Region=North', 'icu'], declinedTasks: ['digits'] };
    expect(traitsOf({ name: 'charite', tags: ['icu', 'trusted'], capabilities })).toEqual({
      name: 'charite',
      tags: ['device:cuda', 'icu', 'region=north', 'trusted'],
      declinedTasks: ['digits'],
    });
  });

  it.each([null, {}, 'x', { tags: 7 }, { tags: ['two words', ''], device: '' }])(
    'are none where %p is said',
    (said) => {
      expect(traitsOf({ name: 'a', tags: null, capabilities: said })).toEqual({
        name: 'a',
        tags: [],
        declinedTasks: [],
      });
    },
  );
});
