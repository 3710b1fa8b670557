/** SHA-256 (FIPS 180-4) of bytes in hex: the address of every blob. */
import { createHash } from 'node:crypto';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
