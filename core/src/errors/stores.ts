/** Error codes of the coordinator's stores: object storage, schema, backups (GRAFT-1060 to 1069). */
import type { ErrorRow } from './row.js';

export const storeErrors = {
  BLOB_STORE_UNAVAILABLE: {
    number: 'GRAFT-1060',
    grpc: 'UNAVAILABLE',
    http: 503,
    retryable: true,
    exit: 2,
    title: 'The object storage cannot be used now',
    fix: 'Check that the server of --blobs-endpoint answers from this machine; what was acknowledged is stored, the call may be repeated.',
  },
  BLOB_STORE_REFUSED: {
    number: 'GRAFT-1061',
    grpc: 'FAILED_PRECONDITION',
    http: 503,
    retryable: false,
    exit: 4,
    title: 'The object storage refuses this coordinator',
    fix: 'Correct the setting that the message names, then start the coordinator again.',
  },
  SCHEMA_TOO_NEW: {
    number: 'GRAFT-1062',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'The database was written by a newer version of graft',
    fix: 'Install that version or a newer one; schemas only move forward. To go back, restore a backup from before the upgrade.',
  },
  BACKUP_DAMAGED: {
    number: 'GRAFT-1063',
    grpc: 'DATA_LOSS',
    http: 409,
    retryable: false,
    exit: 1,
    title: 'The backup is not whole',
    fix: 'Nothing was taken into use. Restore another backup; the message names the file and what is wrong with it.',
  },
  RESTORE_NOT_EMPTY: {
    number: 'GRAFT-1064',
    grpc: 'ALREADY_EXISTS',
    http: 409,
    retryable: false,
    exit: 4,
    title: 'A restore needs an empty place',
    fix: 'Give a directory and a database that hold no coordinator; nothing is overwritten.',
  },
  PASSPHRASE_WRONG: {
    number: 'GRAFT-1065',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    retryable: false,
    exit: 2,
    title: 'The passphrase does not open the keys of this backup',
    fix: 'Give the file with the passphrase that the backup was made with: --passphrase-file FILE.',
  },
} as const satisfies Record<string, ErrorRow>;
