/**
 * Messages as bytes, outside a call. A manifest is signed as the bytes that travel: sign and verify those, and never
 * bytes that were encoded again.
 */
import { GraftError } from '@graft/core/error';
import type * as wire from './messages.js';
import { packageDefinition } from './service-definitions.adapter.js';

/** The types that are kept or signed as bytes. */
interface StoredMessages {
  readonly UpdateManifest: wire.UpdateManifest;
  readonly Instruction: wire.Instruction;
}

interface Codec<Message> {
  serialize(message: Message): Uint8Array;
  deserialize(bytes: Uint8Array): Message;
}

function codec<Name extends keyof StoredMessages>(name: Name): Codec<StoredMessages[Name]> {
  return packageDefinition[`graft.v1.${name}`] as unknown as Codec<StoredMessages[Name]>;
}

/** The bytes of a manifest, to be signed and sent. */
export function encodeUpdateManifest(manifest: wire.UpdateManifest): Uint8Array {
  return codec('UpdateManifest').serialize(manifest);
}

/** The manifest in `bytes`. Throws ENVELOPE_INVALID where they are none; says nothing of who signed them. */
export function decodeUpdateManifest(bytes: Uint8Array): wire.UpdateManifest {
  try {
    return codec('UpdateManifest').deserialize(bytes);
  } catch (cause) {
    throw new GraftError('ENVELOPE_INVALID', `${bytes.byteLength} bytes are not an update manifest`, { cause });
  }
}

/** The bytes of an instruction, as a coordinator stores them until they are settled. */
export function encodeInstruction(instruction: wire.Instruction): Uint8Array {
  return codec('Instruction').serialize(instruction);
}

/** The instruction in `bytes`. Throws INVALID_REQUEST where they are none. */
export function decodeInstruction(bytes: Uint8Array): wire.Instruction {
  try {
    return codec('Instruction').deserialize(bytes);
  } catch (cause) {
    throw new GraftError('INVALID_REQUEST', `${bytes.byteLength} bytes are not an instruction`, { cause });
  }
}
