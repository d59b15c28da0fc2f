"""Writes multilabel.json: scikit-learn's scores, table per label and mean losses of examples with any number of labels, drawn
here with a fixed seed.

Run: python make_multilabel.py    (the versions used are in the file)
"""
import json
import pathlib
import warnings

import numpy
import sklearn
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

warnings.simplefilter("ignore")
here = pathlib.Path(__file__)
rng = numpy.random.RandomState(4)
drawn = {
    "some": (rng.rand(40, 5) < 0.3, rng.rand(40, 5) < 0.4),
    "alike": ((a := rng.rand(30, 4) < 0.4), a ^ (rng.rand(30, 4) < 0.1)),
    "all right": ((a := rng.rand(9, 3) < 0.5), a),
    "nothing given": (rng.rand(8, 3) < 0.5, numpy.zeros((8, 3), bool)),
    "nothing right": (numpy.zeros((6, 3), bool), rng.rand(6, 3) < 0.5),
    "nothing at all": (numpy.zeros((4, 2), bool), numpy.zeros((4, 2), bool)),
    "a label that is nowhere": (numpy.hstack([rng.rand(12, 3) < 0.5, numpy.zeros((12, 1), bool)]), numpy.hstack([rng.rand(12, 3) < 0.5, numpy.zeros((12, 1), bool)])),
    "one example": (numpy.array([[True, False, True]]), numpy.array([[True, True, False]])),
}
cases = []
for name, (gold, pred) in drawn.items():
    k = gold.shape[1]
    table = precision_recall_fscore_support(gold, pred, zero_division=0)
    logits = numpy.round(rng.randn(*gold.shape) * 3, 3)
    p = 1 / (1 + numpy.exp(-logits))
    priors = [DummyClassifier(strategy="prior").fit(gold, column).predict_proba(gold) for column in gold.T]
    labels = lambda rows: [numpy.flatnonzero(row).tolist() for row in rows]
    cases.append({
        "name": name, "labels": k, "gold": labels(gold), "pred": labels(pred),
        **{f"f1_{average}": float(f1_score(gold, pred, average=average, zero_division=0)) for average in ("micro", "macro", "weighted")},
        "subset_accuracy": float(accuracy_score(gold, pred)),
        "precision": table[0].tolist(), "recall": table[1].tolist(), "f1": table[2].tolist(), "support": [int(n) for n in table[3]],
        "logits": logits.tolist(), "loss": float(numpy.mean([log_loss(gold[:, i], p[:, i], labels=[False, True]) for i in range(k)])),
        "entropy": float(numpy.mean([
            log_loss(column, prior, labels=[False, True]) if prior.shape[1] == 2 else 0.0 for column, prior in zip(gold.T, priors)
        ])),
    })
made = {"made_with": f"scikit-learn {sklearn.__version__}, numpy {numpy.__version__}", "cases": cases}
text = json.dumps(made, indent=None, separators=(",", ":")).replace('{"name"', '\n{"name"')
here.with_name("multilabel.json").write_text(text + "\n")
