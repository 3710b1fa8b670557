/** What the refusals of the enrolment service mean to the person at the site. */
import { GraftError } from '@graft/core/error';

import { isCallError } from '../daemon/call-errors.js';

/** How OpenSSL says that a chain does not end at the trusted authority. */
const foreignCertificate = /self[- ]signed certificate|unable to (?:get|verify)|certificate signature failure/i;

/** The error of the call Enrol, by the statuses that its definition names. */
export function enrolmentError(error: unknown, server: string): GraftError {
  if (error instanceof GraftError) return error;
  if (!isCallError(error)) return new GraftError('UNAVAILABLE', `${server} cannot be reached`, { cause: error });
  const { code, details } = error;
  switch (code) {
    case 3:
      return new GraftError('INVALID_REQUEST', `${server} refuses the request: ${details}`, { cause: error });
    case 4:
      return new GraftError('TIMED_OUT', `${server} did not answer in time`, { cause: error });
    case 9:
      return new GraftError(/clock/i.test(details) ? 'CLOCK_SKEW' : 'PROTOCOL_VERSION', details, { cause: error });
    case 16:
      return new GraftError('TOKEN_INVALID', `${server} refuses the token: ${details}`, { cause: error });
    default:
      if (foreignCertificate.test(details)) {
        const why = 'whoever answers shows the authority of the fingerprint, but has no certificate of it';
        return new GraftError('CA_MISMATCH', `${server}: ${why}; the token was not sent`, { cause: error });
      }
      return new GraftError('UNAVAILABLE', `${server}: ${details}`, { cause: error });
  }
}

/** 'hub.example:9091' or '[::1]:9091'. Throws INVALID_ARGUMENTS for anything else. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s/]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port < 1 || port > 65_535) {
    throw new GraftError('INVALID_ARGUMENTS', `'${address}' is not an address: HOST:PORT, without a scheme`);
  }
  return { host, port };
}
