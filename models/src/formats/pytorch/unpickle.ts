/**
 * The pickle of a state dict. Nothing of it is run: the few names that state dicts use stand for functions of ours, every other name is an
 * error that says it.
 */
import { GraftError } from '@graft/core/error';
import { BufferReader, Parser } from 'pickleparser';

import { storageClasses, storageOf, tensorReference, type Storage } from './storages.js';

/** collections.OrderedDict(): a map that pickle then fills item by item. */
const orderedDict = (): Map<unknown, unknown> => new Map<unknown, unknown>();

const parameter = (data: unknown): unknown => data;

const known: ReadonlyMap<string, (...args: never[]) => unknown> = new Map<string, (...args: never[]) => unknown>([
  ...storageClasses,
  ['collections.OrderedDict', orderedDict],
  ['torch._utils._rebuild_tensor_v2', tensorReference],
  ['torch._utils._rebuild_tensor', tensorReference],
  ['torch._utils._rebuild_parameter', parameter],
  ['torch.nn.parameter.Parameter', parameter],
]);

function resolve(module: string, name: string): never {
  const full = `${module}.${name}`;
  const meaning = known.get(full);
  if (meaning !== undefined) return meaning as never;
  throw new GraftError(
    'MODEL_UNSUPPORTED',
    `the PyTorch file needs '${full}', which is code of another program; save model.state_dict() instead of the model`,
  );
}

/** A place in a file of several pickles, one after the other. */
export class PickleReader {
  /** Storages that the objects read so far lie in, by key. */
  readonly storages = new Map<string, Storage>();
  private readonly reader: BufferReader;

  constructor(bytes: Uint8Array) {
    this.reader = new BufferReader(bytes);
  }

  /** Bytes read so far. */
  get position(): number {
    return this.reader.position;
  }

  /** The next object. Throws WEIGHTS_MALFORMED where there is none, MODEL_UNSUPPORTED where it needs a name that is not known. */
  next(): unknown {
    try {
      const parser = new Parser({
        nameResolver: { resolve },
        persistentResolver: { resolve: (id: unknown) => this.storage(id) },
        unpicklingTypeOfDictionary: 'Map',
      });
      return parser.read(this.reader);
    } catch (cause) {
      if (cause instanceof GraftError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new GraftError('WEIGHTS_MALFORMED', `the PyTorch file's pickle is damaged: ${reason.slice(0, 200)}`, {
        cause,
      });
    }
  }

  private storage(id: unknown): Storage {
    const storage = storageOf(id);
    this.storages.set(storage.key, storage);
    return storage;
  }
}
