/** What a schema has against a value, as one INVALID_REQUEST that names each field. */
import { GraftError } from '@graft/core/error';

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** At most so many fields are named; a hostile body may have millions. */
const namedIssues = 20;

export function invalidBody(issues: readonly Issue[]): GraftError {
  const named = issues.slice(0, namedIssues).map(({ path = [], message }) => {
    const where = path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.');
    return where === '' ? message : `${where}: ${message}`;
  });
  const more = issues.length > namedIssues ? `; and ${issues.length - namedIssues} more` : '';
  return new GraftError('INVALID_REQUEST', `${named.join('; ').slice(0, 4_000)}${more}`, {
    details: { issues: issues.length },
  });
}
