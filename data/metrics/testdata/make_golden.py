"""Writes golden.json: values of scikit-learn and SciPy for lists that are drawn here with a fixed seed.

Run: python make_golden.py    (the versions used are in the file)
"""
import json
import pathlib
import warnings

import numpy
import scipy
import sklearn
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

warnings.simplefilter("ignore")
rng = numpy.random.RandomState(7)


def classes(name, gold, pred):
    gold, pred = [int(x) for x in gold], [int(x) for x in pred]
    want = {"accuracy": accuracy_score(gold, pred), "matthews": matthews_corrcoef(gold, pred), "f1_macro": f1_score(gold, pred, average="macro", zero_division=0)}
    if max(gold + pred) < 2:
        want["f1"] = f1_score(gold, pred, pos_label=1, zero_division=0)
    return {"name": name, "kind": "classification", "gold": gold, "pred": pred, "want": {k: float(v) for k, v in want.items()}}


def values(name, gold, pred):
    gold, pred = [float(x) for x in gold], [float(x) for x in pred]
    want = {"pearson": float(pearsonr(gold, pred)[0]), "spearman": float(spearmanr(gold, pred)[0])}
    want = {k: None if numpy.isnan(v) else v for k, v in want.items()}
    return {"name": name, "kind": "regression", "gold": gold, "pred": pred, "want": want}


def noisy(gold, k, wrong):
    pred = gold.copy()
    flip = rng.rand(len(gold)) < wrong
    pred[flip] = rng.randint(0, k, flip.sum())
    return pred


two = rng.randint(0, 2, 211)
rare = (rng.rand(300) < 0.05).astype(int)
three = rng.randint(0, 3, 157)
five = rng.randint(0, 5, 90)
scores = numpy.round(rng.rand(120) * 25) / 5
cases = [
    classes("two classes", two, noisy(two, 2, 0.3)),
    classes("rare positive", rare, noisy(rare, 2, 0.1)),
    classes("three classes", three, noisy(three, 3, 0.4)),
    classes("five classes, chance", five, rng.randint(0, 5, 90)),
    classes("all right", two[:20], two[:20]),
    classes("all wrong", two[:20], 1 - two[:20]),
    classes("one class predicted", two[:30], numpy.ones(30)),
    classes("no positive at all", numpy.zeros(10), numpy.zeros(10)),
    classes("predicted class that is not gold", numpy.array([0, 1, 0, 1]), numpy.array([0, 2, 0, 1])),
    classes("one example", [1], [1]),
    values("noisy", scores, scores + rng.randn(120)),
    values("ties on both sides", scores, numpy.round(scores + rng.randn(120))),
    values("no relation", rng.randn(64), rng.randn(64)),
    values("monotone, not linear", numpy.arange(40), numpy.exp(numpy.arange(40) / 4)),
    values("falling", [5, 4, 3, 2, 1, 1], [0, 1, 2, 3, 4, 4]),
    values("two examples", [1, 2], [5, 3]),
    values("all gold equal", [2, 2, 2], [1, 2, 3]),
    values("all predictions equal", [1, 2, 3], [0.5, 0.5, 0.5]),
    values("tiny spread", 1 + rng.randn(30) * 1e-3, rng.randn(30) * 1e-30),
    values("huge", rng.randn(30) * 1e150, rng.randn(30) * 1e200),
]
made = {
    "made_with": f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}, numpy {numpy.__version__}",
    "cases": cases,
}
text = json.dumps(made, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"')
pathlib.Path(__file__).with_name("golden.json").write_text(text + "\n")
