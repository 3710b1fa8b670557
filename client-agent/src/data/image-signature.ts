/** The first bytes of the image formats that are read, for files whose names do not say what they are. */

/** Bytes that decide. */
export const signatureBytes = 12;

const starts: readonly (readonly number[])[] = [
  [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  [0xff, 0xd8, 0xff],
  [0x47, 0x49, 0x46, 0x38],
  [0x49, 0x49, 0x2a, 0x00],
  [0x4d, 0x4d, 0x00, 0x2a],
];

/** PNG, JPEG, GIF, TIFF by their first bytes; WebP is RIFF....WEBP; AVIF and HEIF are ....ftyp and a brand. */
export function looksLikeImage(start: Uint8Array): boolean {
  if (starts.some((signature) => signature.every((byte, i) => start[i] === byte))) return true;
  const text = String.fromCharCode(...start.subarray(0, signatureBytes));
  if (text.startsWith('RIFF')) return text.slice(8) === 'WEBP';
  return text.slice(4, 8) === 'ftyp' && ['avif', 'avis', 'heic', 'heix', 'mif1', 'msf1'].includes(text.slice(8));
}
