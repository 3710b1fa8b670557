/** Whether the last words of a process or an error say that memory ran out: V8, the C++ library and ONNX Runtime each have their own. */

const sayings = [
  // V8, in the heap and for array buffers.
  /array buffer allocation failed/i,
  // The C++ library, and ONNX Runtime's arena.
  /bad[_ ]alloc/i,
  /failed to allocate memory/i,
  /cannot allocate memory/i,
  /out of memory/i,
];

export function saysOutOfMemory(text: string): boolean {
  return sayings.some((saying) => saying.test(text));
}
