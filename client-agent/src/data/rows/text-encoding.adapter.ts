/**
 * What a text file is written in. A byte order mark decides (https://encoding.spec.whatwg.org/#bom-sniff); without one, zeros at every
 * second byte mean UTF-16; else it is UTF-8. UTF-8 stays bytes, so that each cell is checked by itself; other encodings are
 * turned into UTF-8 on the way.
 */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';

import { GraftError } from '@graft/core/error';

/** What a TextDecoder does. */
export interface Decoder {
  decode(bytes: Uint8Array): string;
}

/** Bytes that are looked at before a file is read. */
const headBytes = 65_536;

export interface OpenedText {
  /** UTF-8, or nearly; with the file's byte order mark taken off. */
  readonly bytes: Readable;
  /** The first part of it. */
  readonly head: string;
  readonly encoding: string;
}

/** Throws DATA_NOT_FOUND where the file cannot be read, DATA_CONFIG_INVALID for an encoding that nobody knows. */
export async function openText(path: string, given: string | undefined): Promise<OpenedText> {
  const start = await readStart(path);
  const { encoding, skip } =
    given === undefined ? sniff(start) : { encoding: nameOf(given), skip: markOf(start)?.skip ?? 0 };
  const decoder = new TextDecoder(encoding, { ignoreBOM: true });
  const head = decoder.decode(start.subarray(skip), { stream: true });
  const raw = createReadStream(path, { start: skip });
  if (encoding === 'utf-8') return { bytes: raw, head, encoding };
  return { bytes: Readable.from(transcode(raw, encoding), { objectMode: false }), head, encoding };
}

/**
 * A cell of a file in UTF-8: undefined where it is not valid, a NUL byte stays in it.
 * @param fallback decodes what is not valid
 */
export function decodeCell(bytes: Buffer, fallback: Decoder | undefined): string | undefined {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return fallback?.decode(bytes);
}

/** Throws DATA_CONFIG_INVALID for an encoding that nobody knows. */
export function fallbackDecoder(encoding: string | undefined): Decoder | undefined {
  return encoding === undefined ? undefined : new TextDecoder(nameOf(encoding));
}

async function* transcode(raw: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder(encoding, { ignoreBOM: true });
  for await (const chunk of raw) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  const rest = decoder.decode();
  if (rest !== '') yield Buffer.from(rest);
}

function nameOf(label: string): string {
  try {
    return new TextDecoder(label).encoding;
  } catch (cause) {
    throw new GraftError(
      'DATA_CONFIG_INVALID',
      `'${label}' is no encoding; utf-8, utf-16le and windows-1252 are some`,
      {
        cause,
      },
    );
  }
}

async function readStart(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new GraftError('DATA_NOT_FOUND', `${path} cannot be read`, { cause });
  }
}

function markOf(start: Buffer): { readonly encoding: string; readonly skip: number } | undefined {
  if (start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf) return { encoding: 'utf-8', skip: 3 };
  if (start[0] === 0xff && start[1] === 0xfe) return { encoding: 'utf-16le', skip: 2 };
  if (start[0] === 0xfe && start[1] === 0xff) return { encoding: 'utf-16be', skip: 2 };
  return undefined;
}

function sniff(start: Buffer): { readonly encoding: string; readonly skip: number } {
  const mark = markOf(start);
  if (mark !== undefined) return mark;
  const zeros = [0, 0];
  for (const [i, byte] of start.entries()) if (byte === 0) zeros[i % 2] = (zeros[i % 2] ?? 0) + 1;
  const [even = 0, odd = 0] = zeros;
  const many = start.length / 5;
  if (odd > many && even === 0) return { encoding: 'utf-16le', skip: 0 };
  if (even > many && odd === 0) return { encoding: 'utf-16be', skip: 0 };
  return { encoding: 'utf-8', skip: 0 };
}
