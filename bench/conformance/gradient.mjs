/** Not checked yet. */
export function checkGradient() {
  return { skipped: 'not checked yet' };
}
