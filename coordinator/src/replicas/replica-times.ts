/** How long replicas wait for each other, in milliseconds. */
export interface ReplicaTimes {
  /** A replica, and the runs and jobs that it has, live so long without being heard of. */
  readonly leaseMs: number;
  /** How often leases are renewed and free runs looked for; each time comes up to a fifth earlier, so that replicas do not step together. */
  readonly renewMs: number;
  /** How often a replica looks by itself for what signals should have told it. */
  readonly sweepMs: number;
  /** How long a report waits for the owner of its run: longer than a lease, so that whoever takes the run over can answer. */
  readonly answerMs: number;
  /** How often what agents say of their work is passed on. */
  readonly activityMs: number;
}

export const defaultTimes: ReplicaTimes = {
  leaseMs: 10_000,
  renewMs: 2_500,
  sweepMs: 5_000,
  answerMs: 15_000,
  activityMs: 1_000,
};
