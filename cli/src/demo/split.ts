/**
 * Who gets which digits: a hold-out that nobody trains on, and label-skewed shares of the rest.
 * Pure: indices in, indices out, chance from a seed.
 */
import { random } from '@graft/core/random';

export interface Example {
  readonly label: number;
  /** Index among the examples of its label. */
  readonly index: number;
}

export interface Split {
  readonly holdOut: readonly Example[];
  /** One share a site. */
  readonly sites: readonly (readonly Example[])[];
}

/** Part of a site's examples that come from its main classes. */
const mainShare = 0.95;
/** Main classes of one site. */
const mainClasses = 5;

/**
 * Splits examples over sites. Each site draws `imagesPerSite` examples, nearly all from its own main classes:
 * two neighbours share the classes between them, and each pair starts two classes further.
 * @param available examples of each label
 * @throws RangeError where the examples do not suffice
 */
export function split(
  available: readonly number[],
  options: {
    readonly sites: number;
    readonly imagesPerSite: number;
    readonly holdOutPerClass: number;
    readonly seed: number;
  },
): Split {
  const { sites, imagesPerSite, holdOutPerClass, seed } = options;
  const chance = random(seed);
  const pools = available.map((count, label) =>
    chance.shuffle(Array.from({ length: count }, (_, index) => ({ label, index }))),
  );
  const take = (label: number): Example => {
    const example = pools[label]?.pop();
    if (example === undefined) {
      throw new RangeError(
        `no example of class ${label} is left: ${sites} sites of ${imagesPerSite} images need more than the ${available[label] ?? 0} there are`,
      );
    }
    return example;
  };
  const classes = available.length;
  const holdOut = available.flatMap((_, label) => Array.from({ length: holdOutPerClass }, () => take(label)));
  const shares = Array.from({ length: sites }, (_, site) => {
    const first = (site % 2) * Math.floor(classes / 2) + 2 * Math.floor(site / 2);
    const main = Array.from({ length: Math.min(mainClasses, classes) }, (__, step) => (first + step) % classes);
    const others = available.map((_, label) => label).filter((label) => !main.includes(label));
    return Array.from({ length: imagesPerSite }, (__, position) => {
      const fromMain = others.length === 0 || position < Math.round(mainShare * imagesPerSite);
      const label = fromMain ? main[position % main.length] : others[chance.below(others.length)];
      return take(label ?? 0);
    });
  });
  return { holdOut: chance.shuffle(holdOut), sites: shares.map((share) => chance.shuffle(share)) };
}
