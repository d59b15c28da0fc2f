"""Writes punkt_english.txt.gz, what punkt.go needs of NLTK's English Punkt model.

    python make_punkt.py english.json

english.json is the model as github.com/neurosnap/sentences v1.1.2 (MIT) has it in data/; its sentences are those of
nltk_data's english.pickle, which is no text. The lines: abbreviations; pairs that belong together; words that often
start sentences; and, of the contexts in which words were seen, the three sets that decide something.
"""
import gzip
import json
import sys

BEGIN_UPPER, INSIDE_UPPER, UNKNOWN_UPPER, BEGIN_LOWER, INSIDE_LOWER, UNKNOWN_LOWER = (1 << i for i in range(1, 7))
UPPER, LOWER = BEGIN_UPPER | INSIDE_UPPER | UNKNOWN_UPPER, BEGIN_LOWER | INSIDE_LOWER | UNKNOWN_LOWER

with open(sys.argv[1], encoding="utf-8") as f:
    model = json.load(f)
seen = model["OrthoContext"].items()
lines = [
    [word for word in model["AbbrevTypes"] if " " not in word],
    model["Collocations"],
    model["SentStarters"],
    [word for word, c in seen if c & LOWER and not c & INSIDE_UPPER],
    [word for word, c in seen if c & LOWER and c & INSIDE_UPPER],
    [word for word, c in seen if c & BEGIN_LOWER and not c & UPPER],
]
assert all(" " not in word for line in lines for word in line)
text = "".join(" ".join(sorted(line)) + "\n" for line in lines)
with open("punkt_english.txt.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(text.encode())
