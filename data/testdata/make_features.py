"""Writes, with Apache Arrow, tagging/features.parquet: two sentences with tags and a label as numbers, and in the
metadata room for what Hugging Face datasets writes there, which the test fills in; and nulls.parquet: columns of
Arrow's null type, as pandas and datasets write columns without any value.

Run: python make_features.py    (needs pyarrow; made with 26.0.1)
"""
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
table = pa.table({
    "tokens": [["Anna", "ran"], ["Zagreb"]],
    "ner_tags": pa.array([[1, 0], [2]], pa.list_(pa.int64())),
    "label": pa.array([1, 0], pa.int64()),
    "text": ["Anna ran", "Zagreb"],
}).replace_schema_metadata({"huggingface": "@" * 500})
pq.write_table(table, HERE / "tagging" / "features.parquet", write_statistics=False)
pq.write_table(pa.table({
    "text": ["a", "b"],
    "text_pair": pa.nulls(2),
    "label": pa.nulls(2),
    "tokens": [["a"], ["b", "c"]],
    "tags": pa.nulls(2),
    "more": pa.array([[], None], pa.list_(pa.null())),
}), HERE / "nulls.parquet", write_statistics=False)
