/**
 * Jest's Node environment with the typed arrays of the real process: native addons return those,
 * and onnxruntime-common refuses typed arrays of another realm.
 */
import { TestEnvironment } from 'jest-environment-node';

const shared = {
  Float32Array,
  Float64Array,
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Uint8ClampedArray,
  ArrayBuffer,
  SharedArrayBuffer,
  DataView,
};

export default class NodeEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, shared);
  }
}
