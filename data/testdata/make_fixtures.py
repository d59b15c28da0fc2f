"""Makes the small fixtures of package data from the official GLUE files.

Run: python make_fixtures.py GLUE_FOLDER    (the folder with CoLA/, SST-2/, ... in it; needs pyarrow)

glue/    the first rows of the official TSV files, byte for byte. The test files and MNLI's mismatched dev
         set, which were not at hand, are made of later dev rows in their official form.
hub/     the same rows in the Hugging Face layout. Each task is written in another way that parquet has
         (compression, dictionary, page version, encoding), so that the reader meets them all.
official.json  number of rows and SHA-256 of what the official loader (glue.py of Hugging Face datasets:
         csv with QUOTE_NONE) reads from every whole file, for the test that reads them all.
"""
import csv
import hashlib
import json
import pathlib
import struct
import sys

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
GLUE = pathlib.Path(sys.argv[1])
ROWS = 12

NLI = ["entailment", "not_entailment"]
TASKS = {  # folder: hub name, text columns, label column, hub columns, classes
    "CoLA": ("cola", ["sentence"], "label", ["sentence"], ["unacceptable", "acceptable"]),
    "SST-2": ("sst2", ["sentence"], "label", ["sentence"], ["negative", "positive"]),
    "MRPC": ("mrpc", ["#1 String", "#2 String"], "Quality", ["sentence1", "sentence2"], ["not_equivalent", "equivalent"]),
    "QQP": ("qqp", ["question1", "question2"], "is_duplicate", ["question1", "question2"], ["not_duplicate", "duplicate"]),
    "MNLI": ("mnli", ["sentence1", "sentence2"], "gold_label", ["premise", "hypothesis"], ["entailment", "neutral", "contradiction"]),
    "QNLI": ("qnli", ["question", "sentence"], "label", ["question", "sentence"], NLI),
    "RTE": ("rte", ["sentence1", "sentence2"], "label", ["sentence1", "sentence2"], NLI),
    "STS-B": ("stsb", ["sentence1", "sentence2"], "score", ["sentence1", "sentence2"], None),
    "WNLI": ("wnli", ["sentence1", "sentence2"], "label", ["sentence1", "sentence2"], ["not_entailment", "entailment"]),
}
COLA_HEADER = ["source", "label", "original_label", "sentence"]
TEST_HEADERS = {  # of the official test.tsv files, where they are not the dev header less the label
    "CoLA": ["index", "sentence"],
    "MRPC": ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"],
    "QQP": ["id", "question1", "question2"],
}
WRITERS = {
    "cola": dict(compression="snappy"),
    "sst2": dict(compression="zstd"),
    "mrpc": dict(compression="none", use_dictionary=False),
    "qqp": dict(compression="gzip", data_page_version="2.0"),
    "mnli": dict(compression="snappy", row_group_size=5),
    "qnli": dict(compression="zstd", use_dictionary=False, data_page_version="2.0",
                 column_encoding={"question": "DELTA_BYTE_ARRAY", "sentence": "DELTA_LENGTH_BYTE_ARRAY",
                                  "label": "DELTA_BINARY_PACKED", "idx": "DELTA_BINARY_PACKED"}),
    "rte": dict(compression="snappy", data_page_size=200, write_page_checksum=True),
    "stsb": dict(compression="zstd", use_dictionary=False, column_encoding={"label": "BYTE_STREAM_SPLIT"}),
    "wnli": dict(compression="none"),
}


def lines(path):
    return path.read_bytes().split(b"\n")


def official(path, folder):
    """The examples of a TSV file as Hugging Face's glue.py reads them."""
    _, text, label, _, classes = TASKS[folder]
    with open(path, encoding="utf-8-sig") as f:
        names = COLA_HEADER if folder == "CoLA" and path.name != "test.tsv" else None
        for row in csv.DictReader(f, fieldnames=names, delimiter="\t", quoting=csv.QUOTE_NONE):
            value = row.get(label, -1)
            if classes is None:
                value = float(value)
            elif value in classes:
                value = classes.index(value)
            yield [row[c] for c in text], value if classes is None else int(value)


def digest(examples):
    h, n = hashlib.sha256(), 0
    for text, label in examples:
        value = struct.pack("<d", label).hex() if isinstance(label, float) else str(label)
        h.update("\x1f".join(text + [value]).encode() + b"\n")
        n += 1
    return {"rows": n, "sha256": h.hexdigest()}


def only(folder, pattern):
    found = sorted((GLUE / folder).glob(pattern))
    return found[0] if found else None


summary = {}
for folder, (name, text, label, hub_text, classes) in TASKS.items():
    out = HERE / "glue" / folder
    out.mkdir(parents=True, exist_ok=True)
    head = 0 if folder == "CoLA" else 1
    train = only(folder, "train*.tsv")
    dev = only(folder, "dev_matched.tsv") or only(folder, "dev.tsv") or only(folder, "heldout_subset.tsv")
    for path in (train, dev):
        summary[f"{folder}/{path.name}"] = digest(official(path, folder))
    files = {"train": lines(train)[: head + ROWS]}
    rows = lines(dev)
    if folder == "MNLI":
        files["dev_matched"] = rows[: head + ROWS]
        files["dev_mismatched"] = rows[:head] + rows[head + ROWS : head + 2 * ROWS]
    else:
        files["dev"] = rows[: head + ROWS]

    names = COLA_HEADER if folder == "CoLA" else rows[0].decode("utf-8-sig").split("\t")
    columns = TEST_HEADERS.get(folder) or [c for c in names if c != label]
    test = ["\t".join(columns)]
    for i, row in enumerate(rows[head + 3 * ROWS : head + 4 * ROWS]):
        cells = dict(zip(names, row.decode().split("\t"))) | {"index": str(i), "id": str(i)}
        test.append("\t".join(cells[c] for c in columns))
    for part in ("test_matched", "test_mismatched") if folder == "MNLI" else ("test",):
        files[part] = [row.encode() for row in test]

    for part, content in files.items():
        path = out / f"{part}.tsv"
        path.write_bytes(b"\n".join(content) + b"\n")
        examples = list(official(path, folder))
        table = {c: [t[i] for t, _ in examples] for i, c in enumerate(hub_text)}
        labels = [v for _, v in examples]
        table["label"] = pa.array(labels, pa.float32() if classes is None else pa.int64())
        table["idx"] = pa.array(range(len(examples)), pa.int32())
        hub = HERE / "hub" / name
        hub.mkdir(parents=True, exist_ok=True)
        part = part.replace("dev", "validation")
        table = pa.table(table)
        if name == "mrpc" and part == "train":  # in two files
            for i in range(2):
                pq.write_table(table.slice(i * 6, 6), hub / f"{part}-{i:05d}-of-00002.parquet", **WRITERS[name])
        else:
            pq.write_table(table, hub / f"{part}-00000-of-00001.parquet", **WRITERS[name])

(HERE / "official.json").write_text(json.dumps(summary, indent="\t") + "\n")
