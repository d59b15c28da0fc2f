"""Writes small parquet files with Apache Arrow, one for each way to store values, and their contents as
want.json (null stands for a null, everything else is text as package parquet gives it).

Run: python make_testdata.py    (needs pyarrow)
"""
import datetime
import decimal
import json
import pathlib
import random

import numpy
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
rng = random.Random(3)
N = 150

words = ["", "a", "deep and meaningful", "naïve café", "日本", 'a "quoted" word', "tab\tand\nline"]
texts = [rng.choice(words) + (f" {i // 7}" if i % 3 else "") for i in range(N)]


def nulls(values, p=0.3):
    return [None if rng.random() < p else v for v in values]


plain = {
    "text": pa.array(texts),
    "text_null": pa.array(nulls(texts)),
    "large": pa.array(texts, pa.large_string()),
    "label": pa.array([i % 3 - 1 for i in range(N)], pa.int64()),
    "label_null": pa.array(nulls([i % 3 for i in range(N)]), pa.int64()),
    "int32": pa.array([rng.randrange(-(2**31), 2**31) for _ in range(N)], pa.int32()),
    "int64": pa.array([rng.randrange(-(2**63), 2**63) for _ in range(N)], pa.int64()),
    "int8": pa.array([rng.randrange(-128, 128) for _ in range(N)], pa.int8()),
    "uint8": pa.array([rng.randrange(256) for _ in range(N)], pa.uint8()),
    "uint32": pa.array([rng.randrange(2**32) for _ in range(N)], pa.uint32()),
    "uint64": pa.array([rng.randrange(2**64) for _ in range(N)], pa.uint64()),
    "float": pa.array([numpy.float32(rng.gauss(0, 3)) for _ in range(N)], pa.float32()),
    "double": pa.array([rng.gauss(0, 3) for _ in range(N)], pa.float64()),
    "score": pa.array(nulls([round(rng.random() * 5, 1) for _ in range(N)]), pa.float32()),
    "bool": pa.array([rng.random() < 0.5 for _ in range(N)]),
    "bool_null": pa.array(nulls([rng.random() < 0.5 for _ in range(N)])),
    "all_null": pa.array([None] * N, pa.string()),
}
table = pa.table(plain)
strings = [n for n, c in plain.items() if pa.types.is_string(c.type) or pa.types.is_large_string(c.type)]
ints = [n for n, c in plain.items() if pa.types.is_integer(c.type)]
floats = [n for n, c in plain.items() if pa.types.is_floating(c.type)]
bools = [n for n, c in plain.items() if pa.types.is_boolean(c.type)]


def encoded(**kinds):
    out = {}
    for names, encoding in ((strings, kinds.get("strings")), (ints, kinds.get("ints")), (floats, kinds.get("floats")), (bools, kinds.get("bools"))):
        out |= {n: encoding for n in names} if encoding else {}
    return out


files = {
    "default": dict(),
    "zstd": dict(compression="zstd"),
    "gzip_v2": dict(compression="gzip", data_page_version="2.0"),
    "snappy_v2": dict(compression="snappy", data_page_version="2.0"),
    "none_plain": dict(compression="none", use_dictionary=False),
    "row_groups": dict(compression="zstd", row_group_size=64),
    "small_pages": dict(compression="snappy", data_page_size=64, write_batch_size=16, write_page_checksum=True),
    "dictionary_overflow": dict(compression="none", dictionary_pagesize_limit=128, write_batch_size=16),
    "delta": dict(compression="zstd", use_dictionary=False,
                  column_encoding=encoded(strings="DELTA_BYTE_ARRAY", ints="DELTA_BINARY_PACKED", bools="RLE", floats="BYTE_STREAM_SPLIT")),
    "delta_length_v2": dict(compression="none", use_dictionary=False, data_page_version="2.0",
                            column_encoding=encoded(strings="DELTA_LENGTH_BYTE_ARRAY", ints="BYTE_STREAM_SPLIT", bools="PLAIN")),
}


def text(v):
    if v is None or isinstance(v, str):
        return v
    return {True: "true", False: "false"}[v] if isinstance(v, bool) else str(v)


want = {}
for name, column in plain.items():
    values = column.to_pylist()
    want[name] = values if name in floats else [text(v) for v in values]
for name, options in files.items():
    pq.write_table(table, HERE / f"{name}.parquet", write_statistics=False, store_schema=False, **options)

required = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("label", pa.int32(), nullable=False)])
pq.write_table(table.select(["text", "label"]).cast(required), HERE / "required.parquet", store_schema=False)
pq.write_table(table.select(["text", "label"]).slice(0, 0), HERE / "no_rows.parquet", store_schema=False)
other = pa.table({
    "text": pa.array(["a", "b"]),
    "list": pa.array([["x"], ["y", "z"]]),
    "struct": pa.array([{"a": 1, "b": "c"}, {"a": 2, "b": "d"}]),
    "date": pa.array([datetime.date(2024, 1, 1)] * 2),
    "time": pa.array([datetime.datetime(2024, 1, 1)] * 2),
    "decimal": pa.array([decimal.Decimal("1.5")] * 2),
    "fixed": pa.array([b"12", b"34"], pa.binary(2)),
    "label": pa.array([1, 0]),
})
pq.write_table(other, HERE / "other_types.parquet", store_schema=False)
pq.write_table(other.select(["text"]), HERE / "brotli.parquet", compression="brotli", store_schema=False)

# Lists, with and without nulls: of the list, of its elements, of neither. Rows and pages end inside long runs.
rng = random.Random(4)
sentences = [[rng.choice(words[1:]) for _ in range(rng.choice([0, 1, 2, 3, 9]))] for _ in range(N)]
lists = {
    "tokens": pa.array(sentences),
    "tokens_null": pa.array(nulls(sentences)),
    "elements_null": pa.array([nulls(s) for s in sentences]),
    "tags": pa.array([[len(w) for w in s] for s in sentences], pa.list_(pa.int64())),
    "small_tags": pa.array(nulls([[len(w) for w in s] for s in sentences]), pa.large_list(pa.int8())),
    "scores": pa.array([[len(w) / 3 for w in s] for s in sentences], pa.list_(pa.float64())),
    "right": pa.array([[w > "b" for w in s] for s in sentences]),
    "always": pa.array(sentences, pa.list_(pa.field("element", pa.string(), nullable=False))),
    "pairs": pa.array([(s + ["x", "y"])[:2] for s in sentences], pa.list_(pa.string(), 2)),
    "empty": pa.array([[]] * N, pa.list_(pa.string())),
    "all_null": pa.array([None] * N, pa.list_(pa.string())),
}
fields = [pa.field(n, c.type, nullable=n != "always") for n, c in lists.items()]
table = pa.table(list(lists.values()), schema=pa.schema(fields))
strings, floats, bools = ["tokens", "tokens_null", "elements_null", "always", "pairs"], ["scores"], ["right"]
leaves = lambda names: [f"{n}.list.element" for n in names]
list_files = {
    "lists": dict(),
    "lists_v2": dict(compression="zstd", data_page_version="2.0"),
    "lists_small_pages": dict(compression="none", data_page_size=64, write_batch_size=7, write_page_checksum=True),
    "lists_row_groups": dict(compression="gzip", row_group_size=64),
    "lists_delta": dict(compression="zstd", use_dictionary=False, column_encoding=(
        dict.fromkeys(leaves(strings), "DELTA_BYTE_ARRAY") | dict.fromkeys(leaves(["tags", "small_tags"]), "DELTA_BINARY_PACKED"))),
    "lists_old_names": dict(use_compliant_nested_type=False),
}
for name, options in list_files.items():
    pq.write_table(table, HERE / f"{name}.parquet", write_statistics=False, store_schema=False, **options)
nested = pa.table({
    "lists": pa.array([[["x"], []], [["y", "z"]]]),
    "structs": pa.array([[{"a": 1}], []]),
    "wide": pa.array([[{"a": 1, "b": 2}], []]),
    "dates": pa.array([[datetime.date(2024, 1, 1)], []]),
    "label": pa.array([1, 0]),
})
pq.write_table(nested, HERE / "nested.parquet", store_schema=False)
want_lists = {n: c.to_pylist() if n in floats else [l if l is None else [text(v) for v in l] for l in c.to_pylist()] for n, c in lists.items()}
(HERE / "want.json").write_text(json.dumps({"made_with": f"pyarrow {pa.__version__}", "columns": want, "lists": want_lists}, ensure_ascii=False) + "\n")
