/**
 * The weights that torch.save wrote: a state dict, or a checkpoint that holds one. Both of PyTorch's containers are read, the zip
 * archive (since 1.6) and the older row of pickles. Source: torch/serialization.py.
 */
import { promisify } from 'node:util';

import { GraftError } from '@graft/core/error';
import { bytesPerElement, type Tensor } from '@graft/core/tensor';
import { fromBuffer, type Entry, type ZipFile } from 'yauzl';

import { isTensorReference, readTensor, type Storage, type TensorReference } from './storages.js';
import { PickleReader } from './unpickle.js';

/** An archive's entries together may not unpack to more. */
const archiveBytes = 16 * 2 ** 30;

/** Keys under which checkpoints hold the state dict. */
const holders = ['state_dict', 'model_state_dict', 'model'] as const;

/**
 * Tensors by name, row-major.
 * Throws MODEL_UNSUPPORTED for a file that needs code (a whole module, a TorchScript program), WEIGHTS_MALFORMED for one that is damaged.
 */
export async function readStateDict(bytes: Uint8Array): Promise<Map<string, Tensor>> {
  const isArchive = bytes[0] === 0x50 && bytes[1] === 0x4b;
  const { root, storages } = isArchive ? await readArchive(bytes) : readPickles(bytes);
  const entries = [...stateOf(root)].flatMap(([name, value]): [string, TensorReference][] =>
    typeof name === 'string' && isTensorReference(value) ? [[name, value]] : [],
  );
  if (entries.length === 0) {
    throw new GraftError(
      'WEIGHTS_MALFORMED',
      `the PyTorch file has no tensors by name, nor under ${holders.join(', ')}`,
    );
  }
  return new Map(entries.map(([name, reference]) => [name, readTensor(reference, storages(reference.storage))]));
}

interface Content {
  readonly root: unknown;
  /** Throws WEIGHTS_MALFORMED where there are no such bytes. */
  readonly storages: (storage: Storage) => Uint8Array;
}

function stateOf(root: unknown): ReadonlyMap<unknown, unknown> {
  if (!(root instanceof Map)) throw new GraftError('WEIGHTS_MALFORMED', 'the PyTorch file holds no state dict');
  const held: unknown = holders.map((key): unknown => root.get(key)).find((value) => value instanceof Map);
  return held instanceof Map ? held : root;
}

function missing(key: string): never {
  throw new GraftError('WEIGHTS_MALFORMED', `the PyTorch file lacks the bytes of storage '${key}'`);
}

/** ARCHIVE/data.pkl, and ARCHIVE/data/KEY for each storage. */
async function readArchive(bytes: Uint8Array): Promise<Content> {
  const entries = await unzip(bytes);
  const [pickle] = [...entries.keys()].filter((name) => name.endsWith('/data.pkl'));
  if (pickle === undefined)
    throw new GraftError('WEIGHTS_MALFORMED', 'the archive has no data.pkl, so it is not of PyTorch');
  const folder = pickle.slice(0, -'data.pkl'.length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw new GraftError(
      'MODEL_UNSUPPORTED',
      'the file is a TorchScript program; export it as ONNX, or save its state_dict()',
    );
  }
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && Buffer.from(order).toString().trim() !== 'little') {
    throw new GraftError('MODEL_UNSUPPORTED', 'the PyTorch file has big-endian numbers');
  }
  return {
    root: new PickleReader(entries.get(pickle) ?? new Uint8Array()).next(),
    storages: ({ key }) => entries.get(`${folder}data/${key}`) ?? missing(key),
  };
}

async function unzip(bytes: Uint8Array): Promise<Map<string, Uint8Array>> {
  const open = promisify<Buffer, { lazyEntries: boolean }, ZipFile>(fromBuffer);
  const entries = new Map<string, Uint8Array>();
  try {
    const archive = await open(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), { lazyEntries: false });
    const found: Entry[] = [];
    await new Promise<void>((resolve, reject) => {
      archive.on('entry', (entry: Entry) => void found.push(entry));
      archive.on('end', resolve);
      archive.on('error', reject);
    });
    const total = found.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
    if (total > archiveBytes) {
      throw new GraftError(
        'WEIGHTS_MALFORMED',
        `the archive unpacks to ${total} bytes, at most ${archiveBytes} are read`,
      );
    }
    for (const entry of found) entries.set(entry.fileName, await contentOf(archive, entry));
    return entries;
  } catch (cause) {
    if (cause instanceof GraftError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('WEIGHTS_MALFORMED', `the PyTorch archive is damaged: ${reason}`, { cause });
  }
}

async function contentOf(archive: ZipFile, entry: Entry): Promise<Uint8Array> {
  const stream = await promisify(archive.openReadStream.bind(archive))(entry);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** torch.serialization.MAGIC_NUMBER as a pickle of protocol 2: an integer of ten bytes. */
const magic = Uint8Array.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);

/** torch.serialization.PROTOCOL_VERSION. */
const protocol = 1001;

/** Magic number, protocol, system, the object, keys of storages: pickles. Then each storage: its length as int64, and its bytes. */
function readPickles(file: Uint8Array): Content {
  if (!magic.every((byte, i) => file[i] === byte)) {
    throw new GraftError(
      'WEIGHTS_MALFORMED',
      'the file is not of PyTorch: it begins with neither a zip archive nor its magic number',
    );
  }
  const bytes = file.subarray(magic.length);
  const pickles = new PickleReader(bytes);
  const version = pickles.next();
  if (version !== protocol) {
    throw new GraftError('MODEL_UNSUPPORTED', `the PyTorch file has protocol ${String(version)}, expected ${protocol}`);
  }
  pickles.next();
  const root = pickles.next();
  const begins = beginningsOf(pickles.next(), pickles, bytes);
  return { root, storages: ({ key }) => bytes.subarray(begins.get(key) ?? missing(key)) };
}

/** Where the bytes of each storage begin. */
function beginningsOf(keys: unknown, { storages, position }: PickleReader, bytes: Uint8Array): Map<unknown, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begins = new Map<unknown, number>();
  let at = position;
  for (const key of Array.isArray(keys) ? (keys as readonly unknown[]) : []) {
    const storage = storages.get(String(key)) ?? missing(String(key));
    if (at + 8 > bytes.length || view.getBigInt64(at, true) !== BigInt(storage.length)) {
      throw new GraftError(
        'WEIGHTS_MALFORMED',
        `the PyTorch file ends before storage '${storage.key}', or gives it another length`,
      );
    }
    begins.set(key, at + 8);
    at += 8 + storage.length * bytesPerElement[storage.dtype];
  }
  return begins;
}
