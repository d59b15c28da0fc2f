"""Makes the demo's data: a random choice of SST-2's training rows and its whole dev set, as parquet in the
Hugging Face layout.

Run: python make.py SST2_FOLDER    (the official folder with train.tsv and dev.tsv; needs pyarrow)
"""
import csv
import hashlib
import pathlib
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, SEED = 8000, 1
HERE, SST2 = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
OFFICIAL = {  # SHA-256 of the files in https://dl.fbaipublicfiles.com/glue/data/SST-2.zip
    "train.tsv": "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
    "dev.tsv": "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
}


def read(name):
    content = (SST2 / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != OFFICIAL[name]:
        sys.exit(f"{SST2 / name} is not the official file")
    return list(csv.DictReader(content.decode().split("\n"), delimiter="\t", quoting=csv.QUOTE_NONE))


def write(name, rows, chosen):
    table = pa.table(
        {
            "sentence": [rows[i]["sentence"] for i in chosen],
            "label": pa.array([int(rows[i]["label"]) for i in chosen], pa.int64()),
            "idx": pa.array(chosen, pa.int32()),  # row in the official file, from 0, as in the hub's files
        }
    )
    pq.write_table(
        table,
        HERE / f"{name}-00000-of-00001.parquet",
        compression="zstd",
        compression_level=19,
        use_dictionary=["label"],
        column_encoding={"idx": "DELTA_BINARY_PACKED"},
    )


train, dev = read("train.tsv"), read("dev.tsv")
write("train", train, sorted(random.Random(SEED).sample(range(len(train)), ROWS)))
write("validation", dev, range(len(dev)))
