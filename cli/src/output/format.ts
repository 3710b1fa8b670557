/** Numbers as people read them. */

/** 1234567 -> '1.2 MB' (powers of 1000). */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  const exponent = Math.min(Math.floor(Math.log10(count) / 3), units.length);
  return `${(count / 1000 ** exponent).toFixed(1)} ${units[exponent - 1]}`;
}

/** 0.9214 -> '.921'; 1 -> '1.000'. */
export function share(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(3).replace(/^0/, '');
}

/** 75_300 ms -> '1 min 15 s'; 4200 ms -> '4.2 s'. */
export function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60
    ? `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** 0.04 -> '40 ms'; 4.25 -> '4.3 s'; 75 -> '1 min 15 s'; 93_784 -> '26 h 3 min'. */
export function seconds(value: number): string {
  return value > 0 && value < 1 ? `${Math.round(value * 1000)} ms` : duration(value * 1000);
}

/** A bar of `width` cells. */
export function bar(progress: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, progress)) * width);
  return '█'.repeat(full) + '░'.repeat(width - full);
}

/** '2026-11-24 10:15:03' in UTC. */
export function timestamp(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace('T', ' ');
}
