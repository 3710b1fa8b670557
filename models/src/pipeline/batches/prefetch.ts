/** Work that is started ahead of its use: in order, and never more than so many at a time. */

/**
 * The results of the tasks, in their order. While one is used, up to `ahead` later ones are under way.
 * The first failure ends it, after what was started has settled.
 */
export async function* prefetch<T>(tasks: Iterable<() => Promise<T>>, ahead: number): AsyncGenerator<T> {
  const source = tasks[Symbol.iterator]();
  const started: Promise<T>[] = [];
  const start = (): boolean => {
    const next = source.next();
    if (next.done === true) return false;
    const task = next.value();
    // A failure that nobody waits for yet is told when its turn comes.
    task.catch(() => undefined);
    started.push(task);
    return true;
  };
  try {
    while (started.length < Math.max(1, ahead) && start());
    for (let task = started.shift(); task !== undefined; task = started.shift()) {
      const value = await task;
      start();
      yield value;
    }
  } finally {
    source.return?.();
    await Promise.allSettled(started);
  }
}
