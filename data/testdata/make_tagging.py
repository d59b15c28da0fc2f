"""Writes tagging/train-00000-of-00001.parquet: made-up sentences as the Hugging Face hub keeps them, the tags as
numbers whose names stand in the file's metadata, in another order than JNLPBA's.

Run: python make_tagging.py    (needs datasets; made with 5.2.0)
"""
import pathlib

import datasets

names = ["B-protein", "I-protein", "O", "B-DNA", "I-DNA"]
features = datasets.Features({
    "id": datasets.Value("string"),
    "tokens": datasets.List(datasets.Value("string")),
    "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
})
rows = {
    "id": ["0", "1", "2"],
    "tokens": [["XA-1", "gene", "binds", "QB", "."], [], ["QB", "cells"]],
    "ner_tags": [["B-DNA", "I-DNA", "O", "B-protein", "O"], [], ["B-protein", "I-protein"]],
}
out = pathlib.Path(__file__).with_name("tagging") / "train-00000-of-00001.parquet"
datasets.Dataset.from_dict(rows, features=features).to_parquet(out)
