"""Parquet files of an independent writer (Apache Arrow), one a codec.

Run: python3 make_parquet_files.py   (needs pyarrow; writes parquet/*.parquet beside this file)
"""

import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).parent / "parquet"
ROWS = 40


def table():
    numbers = range(ROWS)
    return pa.table(
        {
            "age": pa.array([20 + i for i in numbers], pa.int32()),
            "income": pa.array([None if i % 9 == 4 else i * 1.5 for i in numbers], pa.float64()),
            "visits": pa.array([2**40 + i for i in numbers], pa.int64()),
            "city": pa.array([None if i % 11 == 3 else ["Lund", "Oslo", "Ålesund"][i % 3] for i in numbers]),
            "member": pa.array([i % 2 == 0 for i in numbers]),
            "since": pa.array([datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=i) for i in numbers]),
            "price": pa.array([decimal.Decimal(i) / 4 for i in numbers], pa.decimal128(10, 2)),
            "tags": pa.array([[str(i)] for i in numbers], pa.list_(pa.string())),
            "risk": pa.array(["low" if i % 3 else "high" for i in numbers]),
        }
    )


def main():
    FOLDER.mkdir(exist_ok=True)
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        pq.write_table(table(), FOLDER / f"{codec}.parquet", compression=codec, row_group_size=16)
    pq.write_table(table(), FOLDER / "pages-v2.parquet", compression="snappy", data_page_version="2.0", use_dictionary=False)


main()
