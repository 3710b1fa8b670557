/** Whether two outputs are the same, in bits or in the tolerance of the ONNX tests: |a - b| <= 1e-7 + 1e-3 |b|. */
import { fromFloat16 } from '@graft/models/formats/float16';

const [relative, absolute] = [1e-3, 1e-7];

/** What differs, undefined where nothing does. @param measure 'bits', 'tolerance' or 'type and shape' */
export function differenceOf(expected, found, measure) {
  if (found.type !== expected.type) return `is ${found.type}, expected ${expected.type}`;
  if (found.dims.join() !== expected.dims.join()) return `has shape [${found.dims}], expected [${expected.dims}]`;
  if (measure === 'type and shape') return undefined;
  const same = measure === 'bits' || !expected.type.startsWith('float') ? Object.is : close;
  const [a, b] = [numbers(expected), numbers(found)];
  for (let i = 0; i < a.length; i++) if (!same(a[i], b[i])) return `is ${b[i]} at ${i}, expected ${a[i]}`;
  return undefined;
}

function close(a, b) {
  return Object.is(a, b) || a === b || Math.abs(a - b) <= absolute + relative * Math.abs(a);
}

function numbers({ type, data }) {
  return type === 'float16' && data instanceof Uint16Array ? fromFloat16(data) : data;
}
