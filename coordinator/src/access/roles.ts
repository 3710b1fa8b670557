/** Who may do what in the admin API: each role may do what the ones before it may. */
import { z } from 'zod';

export const roles = ['viewer', 'operator', 'admin'] as const;
export const roleSchema = z.enum(roles);
export type Role = z.infer<typeof roleSchema>;

export function includes(held: Role, needed: Role): boolean {
  return roles.indexOf(held) >= roles.indexOf(needed);
}

/** Who makes a request. */
export interface Caller {
  readonly keyId: string;
  readonly name: string;
  readonly role: Role;
}
