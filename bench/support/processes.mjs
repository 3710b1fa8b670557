/** CPU time and memory of process trees, from /proc (Linux). */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';

const ticksPerSecond = 100;

function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return {
      parent: Number(fields[1]),
      ticks: Number(fields[11]) + Number(fields[12]),
      endedTicks: Number(fields[13]) + Number(fields[14]),
    };
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  }
}

/** The processes below `roots`, and the roots. */
export function treeOf(roots) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(name);
    if (stat !== undefined) parents.set(Number(name), stat.parent);
  }
  const inside = new Set(roots);
  for (let grew = true; grew;) {
    grew = false;
    for (const [pid, parent] of parents) {
      if (inside.has(parent) && !inside.has(pid)) {
        inside.add(pid);
        grew = true;
      }
    }
  }
  return [...inside];
}

/** CPU seconds that the trees of `roots` have spent so far, children that ended included. */
export function cpuSeconds(roots) {
  let ticks = 0;
  for (const pid of treeOf(roots)) {
    const stat = statOf(pid);
    if (stat !== undefined) ticks += stat.ticks + stat.endedTicks;
  }
  return ticks / ticksPerSecond;
}

/** Largest resident size that a process has had, in bytes. */
export function peakBytes(pid) {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/);
  return line === null ? 0 : Number(line[1]) * 1024;
}

/** Bytes that have gone over the loopback interface, headers and acknowledgements included. */
export function loopbackBytes() {
  return Number(readFileSync('/sys/class/net/lo/statistics/tx_bytes', 'utf8'));
}

export function machine() {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: process.platform,
  };
}

export const least = (values) => Math.min(...values);

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
