/**
 * Which examples are held out: about a tenth, chosen by the hash of the record, so that an example never changes sides
 * between rounds, runs and years. What the tenth alone would not give is pinned by name, once and for good:
 * a class of two or more records with none in the tenth gives up the one with the smallest hash,
 * and a class of one record trains with it. A class whose every record falls into the tenth stays held out.
 */
export interface SplitPins {
  /** Hashes held out although they are not in the tenth. */
  readonly heldOut: readonly string[];
  /** Hashes that were alone in their class: they train, whatever comes later. */
  readonly training: readonly string[];
}

export const noPins: SplitPins = { heldOut: [], training: [] };

/** Share of the examples that is held out. */
export const heldOutShare = 0.1;

/** Shares of all examples; the rest trains. */
export interface SplitShares {
  readonly test: number;
  readonly validation?: number;
}

/**
 * The side of a record, by its hash alone. Test comes first: a larger share of validation takes records from training, never from test.
 * Throws a RangeError where the shares are not between 0 and 1 together.
 */
export function sideOf(hash: string, { test, validation = 0 }: SplitShares): 'test' | 'validation' | 'training' {
  if (!(test >= 0 && validation >= 0 && test + validation <= 1)) {
    throw new RangeError(`shares of ${test} and ${validation} are not parts of a whole`);
  }
  const place = score(hash);
  if (place < test) return 'test';
  return place < test + validation ? 'validation' : 'training';
}

/**
 * Splits records into held out and training.
 * @param pins what an earlier split pinned; store the returned ones for the next
 * @returns the hashes that are held out; every other hash trains
 */
export function splitRecords(
  records: Iterable<{ readonly hash: string; readonly label: string }>,
  pins: SplitPins,
): { readonly heldOut: ReadonlySet<string>; readonly pins: SplitPins } {
  const pinnedOut = new Set(pins.heldOut);
  const pinnedIn = new Set(pins.training);
  const classes = new Map<string, Set<string>>();
  for (const { hash, label } of records) {
    const hashes = classes.get(label);
    if (hashes === undefined) classes.set(label, new Set([hash]));
    else hashes.add(hash);
  }
  const isOut = (hash: string): boolean =>
    pinnedOut.has(hash) || (!pinnedIn.has(hash) && sideOf(hash, { test: heldOutShare }) === 'test');
  for (const hashes of classes.values()) {
    const [first, ...rest] = hashes;
    if (first === undefined || [...hashes].some(isOut)) continue;
    if (rest.length === 0) {
      pinnedIn.add(first);
      continue;
    }
    const smallest = [...hashes].filter((hash) => !pinnedIn.has(hash)).sort()[0];
    if (smallest !== undefined) pinnedOut.add(smallest);
  }
  const heldOut = new Set<string>();
  for (const hashes of classes.values()) for (const hash of hashes) if (isOut(hash)) heldOut.add(hash);
  return { heldOut, pins: { heldOut: [...pinnedOut].sort(), training: [...pinnedIn].sort() } };
}

/** The first 32 bits of a hash as a number in [0, 1). */
function score(hash: string): number {
  return Number.parseInt(hash.slice(0, 8), 16) / 0x1_0000_0000;
}
