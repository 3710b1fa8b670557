/** How memory and a store grow from round to round: samples of processes and folders, and their slopes. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Resident bytes of a process now. */
export function residentBytes(pid) {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/);
  return line === null ? 0 : Number(line[1]) * 1024;
}

export const handlesOf = (pid) => readdirSync(`/proc/${pid}/fd`).length;

/** Files below a folder and their bytes; what goes while it is looked at does not count. */
export function folderSize(folder) {
  const total = { files: 0, bytes: 0 };
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const stat = statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    total.files += 1;
    total.bytes += stat.size;
  }
  return total;
}

/** Least squares: by how much `y` grows with `x`. */
export function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map((point) => point[0])), mean(points.map((point) => point[1]))];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
}
