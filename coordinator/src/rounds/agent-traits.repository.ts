/** Traits of agents out of the database. */
import type { Kysely } from 'kysely';

import type { Database } from '../store/schema.js';
import { traitsOf } from './agent-traits.js';
import { storedQuarantines } from './quarantine.repository.js';
import type { TraitsById } from './machine/event.js';

/** Agents asked for in one statement: a statement takes some 65,000 values. */
const pageSize = 1000;

/** Whoever is unknown is missing in the answer. */
export async function agentTraits(db: Kysely<Database>, agentIds: readonly string[]): Promise<TraitsById> {
  const traits: Record<string, TraitsById[string]> = {};
  for (let from = 0; from < agentIds.length; from += pageSize) {
    const page = agentIds.slice(from, from + pageSize);
    const shut = await storedQuarantines(db, page);
    const rows = await db
      .selectFrom('agents')
      .select(['id', 'name', 'tags', 'capabilities'])
      .where('id', 'in', page)
      .execute();
    for (const { id, ...row } of rows) {
      const quarantines = shut.get(id);
      traits[id] = { ...traitsOf(row), ...(quarantines && { quarantines }) };
    }
  }
  return traits;
}
