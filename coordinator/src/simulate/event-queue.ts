/** What is to happen, ordered by virtual time; of one moment, in the order in which it was planned. A binary heap. */
export interface Planned<T> {
  readonly atMs: number;
  readonly order: number;
  readonly value: T;
}

export interface EventQueue<T> {
  add(atMs: number, value: T): void;
  /** When the next is due; Infinity where there is none. */
  nextMs(): number;
  take(): Planned<T> | undefined;
  size(): number;
}

export function eventQueue<T>(): EventQueue<T> {
  const heap: Planned<T>[] = [];
  let order = 0;
  const isBefore = (a: Planned<T> | undefined, b: Planned<T> | undefined): boolean =>
    a !== undefined && (b === undefined || a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  const swap = (i: number, j: number): void => {
    const [a, b] = [heap[i], heap[j]];
    if (a === undefined || b === undefined) return;
    heap[i] = b;
    heap[j] = a;
  };
  const rise = (from: number): void => {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at], heap[parent])) return;
      swap(at, parent);
      at = parent;
    }
  };
  const sink = (): void => {
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const child = isBefore(heap[right], heap[left]) ? right : left;
      if (!isBefore(heap[child], heap[at])) return;
      swap(at, child);
      at = child;
    }
  };
  return {
    add: (atMs, value) => {
      heap.push({ atMs, order: order++, value });
      rise(heap.length - 1);
    },
    nextMs: () => heap[0]?.atMs ?? Infinity,
    take: () => {
      const [first] = heap;
      const last = heap.pop();
      if (heap.length > 0 && last !== undefined) {
        heap[0] = last;
        sink();
      }
      return first;
    },
    size: () => heap.length,
  };
}
