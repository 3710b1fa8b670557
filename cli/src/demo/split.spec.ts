import { split } from './split.js';

const available = Array.from({ length: 10 }, () => 1000);
const options = { sites: 4, imagesPerSite: 100, holdOutPerClass: 100, seed: 7 };

describe('split', () => {
  it('gives nobody an example of the hold-out, and no example to two sites', () => {
    const { holdOut, sites } = split(available, options);
    const all = [...holdOut, ...sites.flat()].map(({ label, index }) => `${label}/${index}`);
    expect(new Set(all).size).toBe(1000 + 4 * 100);
  });

  it('skews labels: about five classes make up nearly all of a site', () => {
    for (const site of split(available, options).sites) {
      const counts = Array.from({ length: 10 }, (_, label) => site.filter((example) => example.label === label).length);
      const topFive = counts
        .toSorted((a, b) => b - a)
        .slice(0, 5)
        .reduce((sum, count) => sum + count, 0);
      expect(site).toHaveLength(100);
      expect(topFive).toBeGreaterThanOrEqual(95);
    }
  });

  it.each([2, 3, 4, 7])('covers every class with %i sites together', (sites) => {
    const seen = new Set(
      split(available, { ...options, sites })
        .sites.flat()
        .map(({ label }) => label),
    );
    expect(seen.size).toBe(10);
  });

  it('gives the same split for the same seed and another for another', () => {
    expect(split(available, options)).toEqual(split(available, options));
    expect(split(available, options)).not.toEqual(split(available, { ...options, seed: 8 }));
  });

  it('says what is missing when there are too few examples', () => {
    expect(() => split(available, { ...options, imagesPerSite: 6000 })).toThrow(
      /no example of class \d is left: 4 sites of 6000 images/,
    );
  });
});
