/** Settings of what a coordinator keeps: its database, its blobs, and how long. */
import { z } from 'zod';

/** A time that may be a fraction of its unit. */
const span = (least: number, most: number) => z.coerce.number().min(least).max(most);

const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

export const storeSettings = {
  /** URL of a PostgreSQL database; absent for the embedded one. TLS: sslmode and sslrootcert in the URL. */
  db: z
    .string()
    .regex(/^postgres(ql)?:\/\//u, 'must be postgres://USER:PASSWORD@HOST/DATABASE')
    .optional(),
  /** Connections to PostgreSQL of this replica. */
  dbConnections: count(2, 500).default(10),
  /** A statement that takes longer is ended by the server, seconds. */
  dbStatementSeconds: count(1, 3_600).default(60),
  /** s3://BUCKET/PREFIX, or the absolute path of a folder; absent for the folder `blobs`. */
  blobs: z.string().min(1).optional(),
  /** URL of an S3 server other than Amazon's. */
  blobsEndpoint: z.string().min(1).optional(),
  blobsRegion: z.string().min(1).optional(),
  blobsAccessKey: z.string().min(1).optional(),
  blobsSecretKey: z.string().min(1).optional(),
  /** Copies of a bucket's blobs on this machine, MB. */
  blobsCacheMb: count(100, 100_000_000).default(10_000),
  /** How often what nothing needs any more is removed, minutes; 0 for never. */
  sweepMinutes: count(0, 100_000).default(60),
  /** Events that are kept, days. */
  keepEventsDays: span(0.00001, 100_000).default(30),
  /** Rounds of a run whose updates (ciphertexts) are kept after they are committed. */
  keepUpdateRounds: count(1, 1_000_000).default(2),
  /** Checkpoints of a run that are kept beside those of its releases and the last one. */
  keepCheckpoints: count(1, 1_000_000).default(10),
  /** Settled instructions, finished effects and answers to repeated requests are kept for this long, minutes. */
  keepSettledMinutes: span(0.05, 1_000_000).default(24 * 60),
  /** A blob that nothing names is removed when it was not used for this long, minutes. */
  blobGraceMinutes: span(0.05, 10_000_000).default(24 * 60),
} as const;

/** Flag, key of the configuration, and variable that stands in for the flag. */
export const storeFlags = {
  '--db': ['db', 'GRAFT_DB'],
  '--db-connections': ['dbConnections', 'GRAFT_DB_CONNECTIONS'],
  '--db-statement-seconds': ['dbStatementSeconds', 'GRAFT_DB_STATEMENT_SECONDS'],
  '--blobs': ['blobs', 'GRAFT_BLOBS'],
  '--blobs-endpoint': ['blobsEndpoint', 'GRAFT_BLOBS_ENDPOINT'],
  '--blobs-region': ['blobsRegion', 'GRAFT_BLOBS_REGION'],
  '--blobs-cache-mb': ['blobsCacheMb', 'GRAFT_BLOBS_CACHE_MB'],
  '--sweep-minutes': ['sweepMinutes', 'GRAFT_SWEEP_MINUTES'],
  '--keep-events-days': ['keepEventsDays', 'GRAFT_KEEP_EVENTS_DAYS'],
  '--keep-update-rounds': ['keepUpdateRounds', 'GRAFT_KEEP_UPDATE_ROUNDS'],
  '--keep-checkpoints': ['keepCheckpoints', 'GRAFT_KEEP_CHECKPOINTS'],
  '--keep-settled-minutes': ['keepSettledMinutes', 'GRAFT_KEEP_SETTLED_MINUTES'],
  '--blob-grace-minutes': ['blobGraceMinutes', 'GRAFT_BLOB_GRACE_MINUTES'],
} as const;

/** Secrets have no flag: a command line is seen by everybody on the machine. */
export const secretVariables = {
  blobsAccessKey: 'GRAFT_BLOBS_ACCESS_KEY',
  blobsSecretKey: 'GRAFT_BLOBS_SECRET_KEY',
} as const;
