/**
 * Round policies. Agents get tags of the operator; a run that was started before there were policies goes on as it began:
 * synchronous, agents drawn by chance, the report window as deadline, nobody at work for an earlier base.
 */
import { sql, type Kysely, type Migration } from 'kysely';

const statements = [
  `alter table agents add column tags jsonb not null default '[]'`,
  `update runs set state = jsonb_set(state, '{machine,plan}',
      '{"policy": {"kind": "synchronous"}, "selection": {"tags": [], "order": {"kind": "random"}}, "deadline": {}}'::jsonb
        || (state #> '{machine,plan}'))
    where state #> '{machine,plan}' is not null`,
  `update runs set state = jsonb_set(state, '{machine}',
      '{"carried": {}, "earlierBases": {}, "memory": {"agents": {}, "answerMs": []}}'::jsonb || (state -> 'machine'))
    where state -> 'machine' is not null`,
];

export const policies: Migration = {
  up: async (db: Kysely<unknown>) => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};
