#!/usr/bin/env python3
"""Times E2E's official scorers and `autolora score e2e` on the same texts and prints ratios of medians.

    git clone https://github.com/tuetschek/e2e-metrics
    python -m venv venv && venv/bin/pip install future numpy
    venv/bin/python scripts/bench_score.py --e2e-metrics e2e-metrics --references e2e-dataset/testset_w_refs.csv

What is compared
  - The outputs are one reference of each input of the test set, drawn by --seed and taken out of the references.
  - Official: the Python parts of e2e-metrics, BLEU and NIST (metrics/pymteval.py, its mode -p) and ROUGE-L and CIDEr
    (pycocoevalcap). Its other parts need Java and are not there: PTBTokenizer, which comes before ROUGE-L and CIDEr
    (a simple expression stands for it here), and METEOR.
  - autolora: BLEU and NIST, both as mteval-v13a.pl and as -p have them, ROUGE-L and CIDEr with its own PTB step, and
    METEOR.
  - Each run is a process of its own, from its start to its end, which reads the texts from files and prints the scores.
    The systems take turns; the table has medians over rounds. BLEU and NIST of -p must be equal. autolora's start-up
    has a row of its own.
"""

import argparse
import csv
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def read_references(path):
    """The references of each input of E2E's CSV file, in the order in which the inputs first appear."""
    references = {}
    with open(path, encoding="utf-8-sig", newline="") as f:
        for row in csv.DictReader(f):
            references.setdefault(row["mr"], []).append(row["ref"].strip())
    return list(references.values())


def draw_outputs(references, seed):
    """One reference of each input as the output, and the others, where there are any, as its references."""
    rng = random.Random(seed)
    outputs, others = [], []
    for texts in references:
        i = rng.randrange(len(texts))
        outputs.append(texts[i])
        others.append(texts[:i] + texts[i + 1 :] or texts)
    return outputs, others


def official(outputs, references, metrics):
    """Prints the official scores of files of texts, as the scorers' own main programs would."""
    outputs = Path(outputs).read_text(encoding="utf-8").splitlines()
    references = [block.split("\n") for block in Path(references).read_text(encoding="utf-8").strip().split("\n\n")]
    scores = {}
    if "bleu" in metrics:
        from metrics.pymteval import BLEUScore, NISTScore

        bleu, nist = BLEUScore(), NISTScore()
        for output, texts in zip(outputs, references):
            bleu.append(output, texts)
            nist.append(output, texts)
        scores |= {"bleu_pymteval": bleu.score(), "nist_pymteval": nist.score()}
    if "rouge_l" in metrics:
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge

        def words(text):
            return " ".join(re.findall(r"\w+", text.lower()))

        results = {i: [words(output)] for i, output in enumerate(outputs)}
        truth = {i: [words(text) for text in texts] for i, texts in enumerate(references)}
        scores |= {"rouge_l": Rouge().compute_score(truth, results)[0], "cider": Cider().compute_score(truth, results)[0]}
    print(json.dumps({name: float(v) for name, v in scores.items()}))


def timed(command):
    """Seconds that a process takes, and the JSON object that it prints, if it does; or None and what it says."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        return None, done.stderr.strip()
    return seconds, json.loads(done.stdout) if done.stdout.startswith("{") else {}


# The rows of the table: what is computed, by the official scorers and by autolora.
ROWS = (
    ("BLEU and NIST of -p", "bleu,nist", "bleu_pymteval,nist_pymteval"),
    ("ROUGE-L and CIDEr", "rouge_l,cider", "rouge_l,cider"),
    ("BLEU, NIST, ROUGE-L, CIDEr", "bleu,nist,rouge_l,cider", "bleu_pymteval,nist_pymteval,rouge_l,cider"),
    ("all of score e2e, with METEOR", None, "bleu,nist,meteor,rouge_l,cider,bleu_pymteval,nist_pymteval"),
)


def main():
    if sys.argv[1:2] == ["official"]:
        return official(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--e2e-metrics", required=True, metavar="FOLDER", help="checkout of tuetschek/e2e-metrics")
    parser.add_argument("--references", required=True, metavar="FILE", help="E2E's testset_w_refs.csv")
    parser.add_argument("--autolora", default="bin/autolora", metavar="FILE", help="the program (default bin/autolora)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="times that each is run (default 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which references are the outputs (default 0)")
    args = parser.parse_args()
    outputs, references = draw_outputs(read_references(args.references), args.seed)
    os.environ["PYTHONPATH"] = args.e2e_metrics
    theirs, ours = {row[0]: [] for row in ROWS}, {row[0]: [] for row in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        hypotheses, blocks = Path(folder, "outputs.txt"), Path(folder, "references.txt")
        hypotheses.write_text("".join(text + "\n" for text in outputs), encoding="utf-8")
        blocks.write_text("\n".join("".join(text + "\n" for text in texts) for texts in references), encoding="utf-8")
        score = [args.autolora, "score", "e2e", "--hypotheses", hypotheses, "--references", blocks, "--json", "--metric"]
        start_up = []
        for _ in range(args.rounds):
            start_up.append(timed([args.autolora, "version"])[0])
            for name, official_metrics, metrics in ROWS:
                expected = {}
                if official_metrics:
                    seconds, expected = timed([sys.executable, __file__, "official", hypotheses, blocks, official_metrics])
                    if seconds is None:
                        sys.exit(expected)
                    theirs[name].append(seconds)
                seconds, scores = timed(score + [metrics])
                if seconds is None:
                    sys.exit(scores)
                ours[name].append(seconds)
                for metric in set(scores) & set(expected) & {"bleu_pymteval", "nist_pymteval"}:
                    if abs(scores[metric] - expected[metric]) > 1e-9:
                        sys.exit(f"{metric}: official {expected[metric]}, autolora {scores[metric]}")

    count = sum(len(texts) for texts in references)
    print(f"{len(outputs)} outputs, {count} references, medians of {args.rounds} rounds; BLEU and NIST of -p are equal")
    print(f"{'':30}{'official, s':>12}{'autolora, s':>13}{'times faster':>14}")
    for name, _, _ in ROWS:
        own = statistics.median(ours[name])
        if not theirs[name]:
            print(f"{name:30}{'needs Java':>12}{own:13.3f}")
            continue
        seconds = statistics.median(theirs[name])
        print(f"{name:30}{seconds:12.3f}{own:13.3f}{seconds / own:14.1f}")
    print(f"{'start-up alone':30}{'':12}{statistics.median(start_up):13.3f}")


if __name__ == "__main__":
    main()
