/** Settings of a coordinator that is one of several on the same database. */
import { z } from 'zod';

const place = z
  .string()
  .regex(/^(\[[^\]]+\]|[^:\s]+):\d{1,5}$/u, 'must be HOST:PORT')
  .optional();

export const replicaSettings = {
  /** Folder of the secrets that all replicas have in common: ca.json, identity.seed, master.key; absent for `keys` in the directory. */
  keys: z.string().min(1).optional(),
  /** Address of the balancer that agents are told, HOST:PORT; absent for this coordinator's own. */
  publicGrpc: place,
  /** The same for sites that enrol. */
  publicEnrol: place,
  /** A replica that is not heard of for so long loses its runs to the others, milliseconds. */
  leaseMs: z.coerce.number().int().min(1_000).max(600_000).default(10_000),
} as const;

/** Flag, key of the configuration, and variable that stands in for the flag. */
export const replicaFlags = {
  '--keys': ['keys', 'GRAFT_KEYS'],
  '--public-grpc': ['publicGrpc', 'GRAFT_PUBLIC_GRPC'],
  '--public-enrol': ['publicEnrol', 'GRAFT_PUBLIC_ENROL'],
  '--lease-ms': ['leaseMs', 'GRAFT_LEASE_MS'],
} as const;
