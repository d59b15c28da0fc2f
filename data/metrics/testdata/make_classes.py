"""Writes classes.json: scikit-learn's table per class, its confusion matrix and mean losses, of the classifications of
golden.json.

Run: python make_classes.py    (the versions used are in the file)
"""
import json
import pathlib
import warnings

import numpy
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.metrics import confusion_matrix, f1_score, log_loss, precision_recall_fscore_support
from sklearn.utils.class_weight import compute_class_weight

warnings.simplefilter("ignore")
here = pathlib.Path(__file__)
rng = numpy.random.RandomState(3)
cases = []
for case in json.loads(here.with_name("golden.json").read_text())["cases"]:
    if case["kind"] != "classification":
        continue
    gold, pred = [int(x) for x in case["gold"]], [int(x) for x in case["pred"]]
    k = max(gold + pred) + 1
    table = precision_recall_fscore_support(gold, pred, labels=range(k), zero_division=0)
    logits = numpy.round(rng.randn(len(gold), k) * 3, 3)
    p = numpy.exp(logits) / numpy.exp(logits).sum(1, keepdims=True)
    shares = DummyClassifier(strategy="prior").fit(gold, gold).predict_proba(gold)
    present = sorted(set(gold))
    weights = dict(zip(present, compute_class_weight("balanced", classes=numpy.array(present), y=gold)))
    cases.append({
        "name": case["name"], "gold": gold, "pred": pred, "classes": k,
        "precision": table[0].tolist(), "recall": table[1].tolist(), "f1": table[2].tolist(), "support": [int(n) for n in table[3]],
        "confusion": confusion_matrix(gold, pred, labels=range(k)).tolist(),
        "f1_weighted": f1_score(gold, pred, average="weighted", zero_division=0),
        "logits": logits.tolist(), "loss": log_loss(gold, p, labels=list(range(k))) if k > 1 else 0.0,
        "entropy": -float(numpy.log(shares[range(len(gold)), [present.index(g) for g in gold]]).mean()),
        "commonest": int(DummyClassifier(strategy="most_frequent").fit(gold, gold).predict([0])[0]),
        "balanced": [float(weights.get(c, 0)) for c in range(k)],
    })
made = {"made_with": f"scikit-learn {sklearn.__version__}, numpy {numpy.__version__}", "cases": cases}
text = json.dumps(made, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"')
here.with_name("classes.json").write_text(text + "\n")
