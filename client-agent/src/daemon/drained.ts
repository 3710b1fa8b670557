/** What a drain came to, in a sentence: how people learn that nothing was lost. */

export interface Drained {
  /** Work that was left with its checkpoint; it goes on at the next start. */
  readonly left: readonly { readonly kind: string; readonly round: number }[];
  /** Finished reports that could not be delivered; they are sent at the next start. */
  readonly undelivered: number;
}

export function describeDrained({ left, undelivered }: Drained): string {
  const works = left.map(({ kind, round }) => (kind === 'install' ? 'an install' : `${kind} of round ${round}`));
  const parts = [
    ...(works.length === 0 ? [] : [`${works.join(' and ')} goes on from its checkpoint at the next start`]),
    ...(undelivered === 0
      ? []
      : [`${undelivered} finished ${undelivered === 1 ? 'report waits' : 'reports wait'} in the outbox`]),
  ];
  return parts.length === 0 ? 'drained: nothing was left in hand' : `drained: ${parts.join('; ')}`;
}
