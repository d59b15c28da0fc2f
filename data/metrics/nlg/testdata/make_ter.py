"""Writes ter.json: what pyter3 and tercom make of sentences that are drawn here with a fixed seed.

Run: python make_ter.py TERCOM    (needs pyter3 0.3 and Java; TERCOM is the folder of the classes of
https://github.com/jhclark/tercom, which is tercom 0.7.25 under the LGPL: javac -d TERCOM $(find src -name '*.java'))

pyter's values are those of GenerationEval's eval.py: the least over the references, 1 where pyter fails. tercom's are
edits and mean number of words of the references; an output that a reference file cannot hold, without references, is
not among the cases. Each case: [output, references, pyter, edits, words].
"""
import importlib.metadata
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import pyter

rng = random.Random(3)


def draw(words, length):
    return [rng.choice(words) for _ in range(length)]


def shuffled(sentence, cuts):
    """The sentence cut into runs that are put together in another order, with some words changed."""
    places = sorted(rng.sample(range(1, len(sentence)), min(cuts, len(sentence) - 1))) if len(sentence) > 1 else []
    runs = [sentence[a:b] for a, b in zip([0] + places, places + [len(sentence)])]
    rng.shuffle(runs)
    out = [word for run in runs for word in run]
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            out.insert(at, rng.choice(sentence))
        elif kind == 1 and at < len(out) > 1:
            del out[at]
        elif at < len(out):
            out[at] = rng.choice(["x", "Y", "zé"])
    return out


def cases():
    letters = list("abcdefghijklmnopqrstuvwxyz")
    for i in range(200):
        reference = draw(letters[: rng.choice([3, 6, 12, 26])], rng.randint(1, 22))
        references = [reference] + [shuffled(reference, 2) for _ in range(rng.randrange(3))]
        yield shuffled(reference, rng.randint(0, 6)), references
    for length in (63, 64, 65, 70, 128, 129, 140):  # around what one machine word of bits holds
        for vocabulary in (40, 400):
            reference = draw([f"w{i}" for i in range(vocabulary)], length)
            yield shuffled(reference, 4), [reference]
            yield draw(reference, length - 20), [reference]
    for before in (48, 49, 50, 51, 52, 60):  # a run moved over so many words
        rest = [f"w{i}" for i in range(before)]
        yield ["a", "b"] + rest, [rest + ["a", "b"]]
        yield rest + ["a", "b"], [["a", "b"] + rest]
    for run in (9, 10, 11, 12):  # a run of so many words
        words = [f"w{i}" for i in range(run)]
        yield words + ["a", "b", "c"], [["a", "b", "c"] + words]
    for more in (15, 19, 20, 21, 25, 40):  # so many words more than in the reference: the beam
        same = draw(letters, 20)
        yield draw(["x", "y"], more) + same, [same]
        yield same, [draw(["x", "y"], more) + same]
        yield draw(["x", "y"], more) + same, [same + draw(["x", "z"], more)]
    yield [], [["a", "b"]]
    yield [], [["a", "b"], ["c"]]
    yield ["a", "b"], [["c"]]
    yield ["İstanbul", "ΟΔΟΣ", "ÉTÉ"], [["i̇stanbul", "οδος", "été"], ["İSTANBUL", "ΟΔΟΣ", "ÉTÉ"]]
    yield ["b", "a", "\U0001f600", "é", "z"], [["\U0001f600", "é", "z", "a", "b"]]


def ter(output, references):
    rates = []
    for reference in references:
        try:
            rates.append(pyter.ter(output, reference))
        except ZeroDivisionError:
            rates.append(1)
    return min(rates)


def tercom(all_cases, classes):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with open(folder / "hyp", "w") as hyp, open(folder / "ref", "w") as ref:
            for i, (output, references) in enumerate(all_cases):
                print(" ".join(output), f"(id{i})", file=hyp)
                for reference in references:
                    print(" ".join(reference), f"(id{i})", file=ref)
        command = ["java", "-Dfile.encoding=UTF-8", "-cp", classes, "ter.TER", "-h", folder / "hyp", "-r", folder / "ref", "-o", "ter", "-n", folder / "out"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = (folder / "out.ter").read_text().splitlines()[2:]
    values = {line.split()[0].split(":")[0]: [float(v) for v in line.split()[1:3]] for line in lines}
    return [values[f"id{i}"] for i in range(len(all_cases))]


all_cases = list(cases())
rows = [
    [" ".join(output), [" ".join(r) for r in references], ter(output, references), int(edits), words]
    for (output, references), (edits, words) in zip(all_cases, tercom(all_cases, sys.argv[1]))
]
versions = {"python": sys.version.split()[0], "pyter3": importlib.metadata.version("pyter3"), "tercom": "0.8.0"}
path = pathlib.Path(__file__).with_name("ter.json")
with path.open("w") as f:
    print('{"versions": ' + json.dumps(versions) + ', "cases": [', file=f)
    print(",\n".join(json.dumps(row, ensure_ascii=False) for row in rows), file=f)
    print("]}", file=f)
