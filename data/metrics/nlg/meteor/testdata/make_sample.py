"""Writes sample.json: a few outputs of the E2E challenge with the scores and statistics that METEOR 1.5's Java program
gave them, those lines of its resources that their words need, and the golden set's table of paraphrases, which are made
up.

    python3 make_sample.py GOLDEN RESOURCES

GOLDEN is the folder dev/meteor of the developers' golden set, RESOURCES METEOR's own (../lists.zip, unpacked).
The texts are those of the E2E data set, CC BY-SA 4.0 (github.com/tuetschek/e2e-dataset), and of a system trained on it
(github.com/UKPLab/e2e-nlg-challenge-2017). The synonyms are those of WordNet 3.0, Copyright 2006 by
Princeton University, all rights reserved.
"""

import gzip
import json
import pathlib
import re
import sys

NAME, REFERENCES, COUNT = "e2e-ukp-seed2", 3, 24
ENDINGS = [("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y"),
           ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""), ("er", ""), ("est", ""), ("er", "e"), ("est", "e")]

golden, resources = map(pathlib.Path, sys.argv[1:])
expected = json.loads((golden / f"{NAME}.expected.json").read_text())
outputs = (golden / f"{NAME}.hyp").read_text().splitlines()
references = (golden / f"{NAME}.ref{REFERENCES}").read_text().splitlines()
table = gzip.open(golden / f"{NAME}.synthetic-paraphrase.gz", "rt").read().splitlines()
plain, tabled = expected["no_paraphrase"], expected["synthetic_paraphrase"]


def kinds(stats):
    """The number of words matched by stem, synonym and paraphrase."""
    return [sum(stats[k:k + 4]) for k in (8, 12, 16)]


# Those with the most matches that are not exact, and a perfect one.
order = sorted(range(len(outputs)), key=lambda i: -sum(kinds(plain["segment_stats"][i]) + kinds(tabled["segment_stats"][i])))
chosen = sorted(order[:COUNT - 1] + [plain["segment_scores"].index(1.0)])

cases, words = [], set()
for i in chosen:
    refs = references[REFERENCES * i:REFERENCES * (i + 1)]
    for text in [outputs[i]] + refs:
        words.update(re.findall(r"[a-z0-9]+", text.lower()))
    cases.append({"output": outputs[i], "references": refs,
                  **{key: {"score": of["segment_scores"][i], "stats": of["segment_stats"][i]}
                     for key, of in (("plain", plain), ("tabled", tabled))}})


def pairs(name):
    lines = (resources / "synonym" / name).read_text().splitlines()
    return list(zip(lines[::2], lines[1::2]))


exceptions = [(base, forms) for base, forms in pairs("english.exceptions") if words & set(forms.split())]
wanted = words | {base for base, _ in exceptions} | {w[:-len(form)] + base for w in words for form, base in ENDINGS if w.endswith(form)}
synsets = [(word, ids) for word, ids in pairs("english.synsets") if word in wanted]

sample = {
    "source": "METEOR 1.5, -l en -norm; see make_sample.py",
    "synsets": [line for pair in synsets for line in pair],
    "exceptions": [line for pair in exceptions for line in pair],
    "paraphrases": table,
    "cases": cases,
}


def lines(value):
    if isinstance(value, str):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(v, ensure_ascii=False) for v in value) + "\n]"


body = ",\n".join(json.dumps(key) + ": " + lines(value) for key, value in sample.items())
pathlib.Path(__file__).with_name("sample.json").write_text("{\n" + body + "\n}\n")
