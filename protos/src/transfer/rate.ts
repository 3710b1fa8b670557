/** Rates as people write them: '10 MB/s', '500 kB/s', '8 Mbit/s'. */

const unitBytes: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KIB: 1 << 10,
  MIB: 1 << 20,
  GIB: 1 << 30,
  KBIT: 125,
  MBIT: 125_000,
  GBIT: 125_000_000,
};

/** Below this a chunk of 1 MiB would take longer than a silent peer is waited for. */
export const leastBytesPerS = 16_000;

/** What a rate must look like, for messages. */
export const rateForm = `a rate such as '10 MB/s', '500 kB/s' or '8 Mbit/s', at least ${leastBytesPerS / 1000} kB/s`;

/** Bytes a second; undefined where `text` is no rate, or less than `leastBytesPerS`. */
export function parseRate(text: string): number | undefined {
  const [, number = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b(?:it)?)\/s\s*$/iu.exec(text) ?? [];
  const unitSize = unit === 'b' ? undefined : unitBytes[unit.toUpperCase()];
  if (unitSize === undefined) return undefined;
  const bytesPerS = Math.round(Number(number) * unitSize);
  return bytesPerS >= leastBytesPerS && Number.isSafeInteger(bytesPerS) ? bytesPerS : undefined;
}
