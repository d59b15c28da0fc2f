"""Writes chats.parquet and chats.txt: conversations as Hugging Face's datasets stores them, in which every message has
the fields of all, and what is to be read of them.

    python make_chats.py        (pyarrow 26.0.1)
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

call = {"id": "c1", "function": {"name": "f", "arguments": {"x": 2.0, "y": None, "tags": ["a", "b"], "deep": {"n": 1}}}}
rows = [
    {
        "messages": [{"role": "user", "content": "Hi <b>é"}, {"role": "assistant", "content": "Hello"}],
        "tools": None,
    },
    {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "Call."},
            {"role": "assistant", "content": None, "tool_calls": [call, {"id": "c2", "function": {"name": "g", "arguments": None}}]},
            {"role": "tool", "content": "3", "name": "f"},
            {"role": "assistant", "content": "3", "tool_calls": []},
        ],
        "tools": [{"name": "f", "required": True}, {"name": "g", "required": None}],
    },
    {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}], "tools": []},
]
folder = pathlib.Path(__file__).parent
pq.write_table(pa.Table.from_pylist(rows), folder / "chats.parquet", compression="snappy")


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


lines = []
for row in pq.read_table(folder / "chats.parquet").to_pylist():
    line = ""
    for m in map(without_nulls, row["messages"]):
        m = {"role": m.pop("role"), **({"content": m.pop("content")} if "content" in m else {}), **m}
        line += ("*" if m["role"] == "assistant" else "") + dumps(m) + " "
    lines.append(line + (dumps(without_nulls(row["tools"])) if row["tools"] else "") + "\n")
(folder / "chats.txt").write_text("".join(lines))
