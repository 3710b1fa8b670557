/** The pages of a column chunk in a Parquet file, checked before they are unpacked: what a page claims is allocated for it. */
import { parquetHeader } from 'hyparquet/src/column.js';

import { dataLimits } from '../dataset.js';

export interface ColumnChunk {
  readonly name: string;
  /** Place and length in the file. */
  readonly start: number;
  readonly length: number;
  /** Of its row group; a flat column has one value a row. */
  readonly rows: number;
}

/**
 * Throws a RangeError where the sizes of a page are negative, lie outside the chunk, are over the limit, or where it claims more
 * values than the group has rows.
 */
export function checkPages(bytes: Uint8Array, { name, rows }: ColumnChunk): void {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  let unpacked = 0;
  let seen = 0;
  while (seen < rows && reader.offset < bytes.length - 1) {
    const header = parquetHeader(reader);
    const { compressed_page_size: packedBytes, uncompressed_page_size: pageBytes } = header;
    const left = bytes.length - reader.offset;
    if (!(packedBytes >= 0 && packedBytes <= left)) {
      throw new RangeError(`a page of column ${name} claims ${packedBytes} bytes, ${left} are left`);
    }
    if (!(pageBytes >= 0)) throw new RangeError(`a page of column ${name} claims to unpack to ${pageBytes} bytes`);
    unpacked += pageBytes;
    if (unpacked > dataLimits.parquetChunkBytes) {
      throw new RangeError(
        `column ${name} unpacks to over ${unpacked} bytes in a row group, the limit is ${dataLimits.parquetChunkBytes}`,
      );
    }
    const data = header.data_page_header ?? header.data_page_header_v2;
    const values = data?.num_values ?? header.dictionary_page_header?.num_values ?? 0;
    // A value of a dictionary takes a byte at least.
    const most = data === undefined ? pageBytes : rows - seen;
    if (!(values >= 0 && values <= most)) {
      throw new RangeError(`a page of column ${name} claims ${values} values, there is room for ${most}`);
    }
    const levels = header.data_page_header_v2;
    const levelBytes = (levels?.definition_levels_byte_length ?? 0) + (levels?.repetition_levels_byte_length ?? 0);
    if (!(levelBytes >= 0 && levelBytes <= packedBytes)) {
      throw new RangeError(`a page of column ${name} claims ${levelBytes} bytes of levels in ${packedBytes}`);
    }
    if (data !== undefined) seen += values;
    reader.offset += packedBytes;
  }
}
