/**
 * Virtual time and the order of everything: tasks wait for their moment, those of one moment go in a seeded order, and
 * the next begins when the promises that the one before set going have come to rest. No other clock or timer is used.
 */
import type { Random } from '../../../core/src/random.js';

import type { Trace } from './trace.js';

export interface Scheduler {
  /** Milliseconds since the simulation began plus `epochMs`. */
  nowMs(): number;
  /** Answers a cancel. */
  after(delayMs: number, label: string, run: () => void | Promise<void>): () => void;
  /** Lets time pass until `endMs`, or until `until` says so after a task. */
  run(endMs: number, until?: () => boolean): Promise<void>;
  /** Tasks that ran. */
  count(): number;
}

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly label: string;
  readonly run: () => void | Promise<void>;
  cancelled: boolean;
}

/** Some day: 2026-01-01. */
const epochMs = 1_767_225_600_000;
/** A world that never comes to rest is a failure, not a hang. */
const mostTasks = 200_000;

export function createScheduler(chance: Random, trace: Trace): Scheduler {
  const heap: Task[] = [];
  let nowMs = epochMs;
  let count = 0;

  async function run(endMs: number, until: () => boolean = () => false): Promise<void> {
    // Whoever calls may have set promises going.
    await rest();
    for (let next = heap[0]; next !== undefined && next.atMs <= endMs && !until(); next = heap[0]) {
      pop(heap);
      if (next.cancelled) continue;
      nowMs = next.atMs;
      count += 1;
      if (count > mostTasks) throw new Error(`more than ${mostTasks} tasks: the world does not come to rest`);
      trace.add(`${nowMs - epochMs} ${next.label}`);
      await next.run();
      await rest();
    }
    if (!until()) nowMs = Math.max(nowMs, endMs);
  }

  return {
    nowMs: () => nowMs,
    count: () => count,
    run,
    after: (delayMs, label, run) => {
      const atMs = nowMs + Math.max(0, Math.ceil(delayMs));
      const task = { atMs, order: chance.next(), label, run, cancelled: false };
      push(heap, task);
      return () => (task.cancelled = true);
    },
  };
}

/** All promise jobs run before the event loop goes on to the next immediate. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(one: Task | undefined, other: Task | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

function push(heap: Task[], task: Task): void {
  heap.push(task);
  let at = heap.length - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(heap[at], heap[parent])) return;
    swap(heap, at, parent);
    at = parent;
  }
}

function pop(heap: Task[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  heap[0] = last;
  for (let at = 0; ;) {
    const [left, right] = [2 * at + 1, 2 * at + 2];
    const least = isBefore(heap[right], heap[left]) ? right : left;
    if (!isBefore(heap[least], heap[at])) return;
    swap(heap, at, least);
    at = least;
  }
}

function swap(heap: Task[], one: number, other: number): void {
  const [a, b] = [heap[one], heap[other]];
  if (a === undefined || b === undefined) return;
  heap[one] = b;
  heap[other] = a;
}
