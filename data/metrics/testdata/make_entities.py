"""Writes entities.json: seqeval's scores for tags that are drawn here with a fixed seed, and its entities for odd tags.

Run: python make_entities.py    (needs seqeval; its version is in the file)

A value that seqeval cannot give, since no sentence has an entity, is null.
"""
import importlib.metadata
import json
import pathlib
import warnings

import numpy
from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE2, Entities

warnings.simplefilter("ignore")
rng = numpy.random.RandomState(11)
TYPES = ["DNA", "cell-line", "x"]
STRICT = {"iob2": (IOB2, "BI"), "iobes": (IOBES, "BIES")}


def draw(prefixes, n, outside):
    """Tags without any order: most of them are ill-formed."""
    return ["O" if rng.rand() < outside else rng.choice(list(prefixes)) + "-" + rng.choice(TYPES) for _ in range(n)]


def entity(prefixes, n):
    """Well-formed tags of one entity."""
    kind = "-" + rng.choice(TYPES)
    if "S" not in prefixes:
        return ["B" + kind] + ["I" + kind] * (n - 1)
    return ["S" + kind] if n == 1 else ["B" + kind] + ["I" + kind] * (n - 2) + ["E" + kind]


def sentence(prefixes):
    tags = []
    for _ in range(rng.randint(1, 6)):
        tags += entity(prefixes, rng.randint(1, 4)) if rng.rand() < 0.5 else ["O"] * rng.randint(1, 4)
    return tags


def noisy(tags, prefixes, wrong):
    return [draw(prefixes, 1, 0.4)[0] if rng.rand() < wrong else t for t in tags]


def number(v):
    return None if numpy.isnan(v) else float(v)


def report(gold, pred, **mode):
    try:
        r = classification_report(gold, pred, output_dict=True, zero_division=0, **mode)
    except (ValueError, ZeroDivisionError):
        return None
    scores = lambda s: {"precision": number(s["precision"]), "recall": number(s["recall"]), "f1": number(s["f1-score"]), "support": int(s["support"])}
    out = scores(r["micro avg"])
    out["macro"], out["weighted"] = scores(r["macro avg"]), scores(r["weighted avg"])
    out["per_type"] = {k: scores(v) for k, v in r.items() if not k.endswith(" avg")}
    out["accuracy"] = float(accuracy_score(gold, pred))
    return out


def case(name, gold, pred, *strict):
    want = {"lenient": report(gold, pred)}
    for scheme in strict:
        want[scheme] = report(gold, pred, mode="strict", scheme=STRICT[scheme][0])
    return {"name": name, "gold": [" ".join(s) for s in gold], "pred": [" ".join(s) for s in pred], "want": want}


def drawn(name, prefixes, wrong, *strict, n=25):
    gold = [sentence(prefixes) for _ in range(n)]
    return case(name, gold, [noisy(s, prefixes, wrong) for s in gold], *strict)


cases = [
    drawn("iob2, some wrong", "BI", 0.1, "iob2"),
    drawn("iob2, half wrong", "BI", 0.5, "iob2"),
    drawn("iobes, some wrong", "BIES", 0.15, "iobes"),
    drawn("iobes, half wrong", "BIES", 0.6, "iobes"),
    case("gold without order, iob2", [draw("BI", 9, 0.3) for _ in range(20)], [draw("BI", 9, 0.3) for _ in range(20)], "iob2", "iobes"),
    case("gold without order, iobes", [draw("BIES", 9, 0.3) for _ in range(20)], [draw("BIES", 9, 0.3) for _ in range(20)], "iobes"),
    case("all right", [["B-x", "I-x", "O"]], [["B-x", "I-x", "O"]], "iob2", "iobes"),
    case("nothing predicted", [["B-x", "I-x", "O"]], [["O", "O", "O"]], "iob2", "iobes"),
    case("nothing gold", [["O", "O", "O"]], [["B-x", "I-x", "O"]], "iob2", "iobes"),
    case("type that is not gold", [["B-x", "O"], ["B-x"]], [["B-x", "B-y"], ["I-y"]], "iob2", "iobes"),
    case("entities end with their sentence", [["O", "B-x"], ["I-x", "O"]], [["O", "B-x"], ["B-x", "O"]], "iob2"),
    case("an empty sentence", [[], ["B-x"]], [[], ["B-x"]], "iob2"),
    case("tags without types", [["B", "I", "O", "B"]], [["B", "I", "I", "B"]], "iob2"),
]
ODD = ["B-x I-y", "I-x I-x B-x", "B-x E-x E-x", "S-x I-x", "I-x S-x E-x", "B-x O I-x", "E-x", "B-x B-x", "B I", "B- I-", "Bx Ix", "B--x I--x I-x", "B-x- I-x-",
       "B-a-b I-a-b I-b", "U-x L-x", "B-x U-x", "X-x X-y", ". B-x .", "B-x . I-x", "O O", "B-\u00e9 I-\u00e9", "\u00e9-x B-x"]
odd = []
for tags in ODD:
    entry = {"tags": tags, "lenient": [list(e[:2]) + [e[2] + 1] for e in get_entities([tags.split()])]}
    for scheme, (tokens, _) in STRICT.items():
        try:
            entry[scheme] = [[e.tag, e.start, e.end] for e in Entities([tags.split()], tokens).entities[0]]
        except (KeyError, ValueError):
            entry[scheme] = None  # a tag that the scheme does not have
    odd.append(entry)
# Other schemes, in strict mode alone: in its default mode seqeval does not know the letters of BILOU.
OTHERS = {"iob1": (IOB1, "BI"), "ioe2": (IOE2, "IE"), "bilou": (BILOU, "BILU")}
others = []
for scheme, (tokens, prefixes) in OTHERS.items():
    for outside in (0.2, 0.5):
        gold, pred = ([draw(prefixes, 8, outside) for _ in range(20)] for _ in range(2))
        pred = [[g if rng.rand() < 0.7 else p for g, p in zip(a, b)] for a, b in zip(gold, pred)]
        others.append({"name": f"without order, {scheme}", "gold": [" ".join(s) for s in gold], "pred": [" ".join(s) for s in pred],
                       "want": {scheme: report(gold, pred, mode="strict", scheme=tokens)}})
value = {"made_with": f"seqeval {importlib.metadata.version('seqeval')}", "cases": cases + others, "entities": odd}
pathlib.Path(__file__).with_name("entities.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")
