"""Writes sample.json: what the official scripts make of the small corpora below.

Run: python make_sample.py E2E MOSES    (needs numpy, future, Java and Perl with XML::Twig)

E2E is a checkout of https://github.com/tuetschek/e2e-metrics with pycocoevalcap/tokenizer/stanford-corenlp-3.4.1.jar,
MOSES the folder scripts/generic of https://github.com/moses-smt/mosesdecoder. The Perl scripts run as copies that print
more digits. null is where a script divides by zero.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

E2E, MOSES = (pathlib.Path(arg).resolve() for arg in sys.argv[1:])
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(E2E))
from metrics.pymteval import BLEUScore, NISTScore
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

# Corpora of [output, references...].
CORPORA = {
    "plain": [
        ["The Mill is a cheap pub near the river.", "The Mill is a low-priced pub by the river.", "Near the river there is a cheap pub, The Mill.",
         "A pub with low prices, the Mill, is near the river."],
        ["Blue Spice serves Chinese food for £20-25, and it isn't family-friendly.", "Blue Spice (£20-25) serves Chinese food; it is not family friendly.",
         "For £20-25 you get Chinese food at Blue Spice. It isn't family-friendly."],
        ["It's rated 3.5 out of 5.", "It is rated 3.5 out of 5.", "Its rating is 3.5 of 5!", "Customers gave it 3.5, out of 5."],
        ["\"The Eagle\" is owned by Smith & Co. Inc.", "The Eagle is owned by Smith & Co., Inc.", "Smith & Co. Inc. owns 'The Eagle'."],
        ["A café called Zürich opened in 1998 in the U.S.", "The café Zürich in the U.S. opened in 1998.", "Zürich is a café. It opened in 1998."],
    ],
    "one reference": [
        ["The golden palace is a restaurant in the city centre of the city.", "The Golden Palace is a restaurant in the city centre."],
        ["It has a low customer rating.", "The customer rating of it is low."],
        ["Prices are high, the food is English.", "It serves English food at high prices."],
    ],
    "short and empty outputs": [
        ["", "The Mill is a pub.", "There is a pub, The Mill."],
        ["Yes.", "Yes, it is.", "Yes."],
        ["eagle", "The Eagle is an expensive coffee shop by the river.", "eagle"],
        ["The pub is The Mill, the pub is The Mill, the pub is The Mill.", "The pub is The Mill.", "The Mill is the pub in the centre of the city."],
    ],
    "Perl's false": [
        ["It has 0 stars and 0 guests .", "It has 0 stars .", "There are 0 guests and 0 stars ."],
        ["They gave 0 points , 0 stars .", "They gave 0 points .", "0 points were given , 0 stars too ."],
    ],
    "one output": [["Nothing here is right at all, I fear.", "The Mill is a cheap pub.", "A cheap pub is The Mill."]],
    "markup": [["A &lt;b&gt; &amp; a &quot;c&quot;, 1-2 3,4 x-y: 5.", "A <b> & a \"c\", 1-2, 3,4 and x-y: 5.", "a b & c: 1 - 2 - 3,4. x-y = 5"]],
}


def precise(script, folder):
    """A copy of a Perl script that prints 15 digits."""
    text = re.sub(r"%2?\.[0-9]f", "%.15f", script.read_text(encoding="utf-8"))
    copy = folder / script.name
    copy.write_text(text, encoding="utf-8")
    return copy


def guarded(score):
    try:
        return float(score())
    except ZeroDivisionError:
        return None


def pymteval(segments):
    scorers = [BLEUScore(), BLEUScore(smoothing=1.0), NISTScore()]
    for output, *references in segments:
        for scorer in scorers:
            scorer.append(output, references)
    return [guarded(scorer.score) for scorer in scorers]


def mteval(segments, folder):
    escaped = lambda text: text.replace("<", "&lt;").replace(">", "&gt;")  # for the markup only: no other entity is touched

    def write(kind, columns):
        lines = [f'<{kind}set setid="x" srclang="any" trglang="en">']
        for k, column in enumerate(columns):
            lines += [f'<doc docid="d" genre="news" origlang="any" sysid="{kind}_{k:02d}">', "<p>"]
            lines += [f'<seg id="{i}">{escaped(text)}</seg>' for i, text in enumerate(column, 1)] + ["</p>", "</doc>"]
        path = folder / (kind + ".sgm")
        path.write_text("\n".join(lines + [f"</{kind}set>"]), encoding="utf-8")
        return path

    files = ["-r", write("ref", padded(segments)), "-s", write("src", [[""] * len(segments)]), "-t", write("tst", [[s[0] for s in segments]])]
    run = subprocess.run(["perl", precise(E2E / "mteval" / "mteval-v13a-sig.pl", folder), *files, "-f", folder / "stats"],
                         capture_output=True, text=True, check=True)
    nist, bleu = re.search(r"NIST score = ([0-9.]+) +BLEU score = ([0-9.]+)", run.stdout).groups()
    return [float(bleu), float(nist)]


def padded(segments):
    """The references as columns; there is an empty one where an output has fewer."""
    most = max(len(s) - 1 for s in segments)
    return [[s[1 + k] if k < len(s) - 1 else "" for s in segments] for k in range(most)]


def multi_bleu(script, options, segments, folder):
    for k, column in enumerate(padded(segments)):
        (folder / f"reference{k}").write_text("".join(text + "\n" for text in column), encoding="utf-8")
    run = subprocess.run(["perl", precise(MOSES / script, folder), *options, folder / "reference"],
                         input="".join(s[0] + "\n" for s in segments), capture_output=True, text=True)
    found = re.search(r"BLEU = ([0-9.]+)", run.stdout)
    return float(found.group(1)) / 100 if found else None


def ptb(lines, folder):
    """As pycoco's PTBTokenizer does it."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS
    (folder / "lines").write_text("\n".join(lines), encoding="utf-8")
    jar = E2E / "pycocoevalcap" / "tokenizer" / "stanford-corenlp-3.4.1.jar"
    run = subprocess.run(["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", folder / "lines"],
                         capture_output=True, encoding="utf-8", check=True)
    return [" ".join(w for w in line.rstrip().split(" ") if w not in PUNCTUATIONS) for line in run.stdout.split("\n")]


def coco(segments, folder):
    references = ptb([text for s in segments for text in s[1:]], folder)
    outputs = {i: [text] for i, text in zip(range(len(segments)), ptb([s[0] for s in segments], folder))}
    texts = {}
    for i, s in enumerate(segments):
        texts[i], references = references[:len(s) - 1], references[len(s) - 1:]
    out = []
    for scorer in Rouge(), Cider():
        mean, each = scorer.compute_score(texts, outputs)
        out.append([float(mean), [float(v) for v in each]])
    return out


def main():
    corpora = []
    with tempfile.TemporaryDirectory() as temp:
        folder = pathlib.Path(temp)
        for name, segments in CORPORA.items():
            for old in folder.glob("reference*"):
                old.unlink()
            bleu, _, nist = pymteval(segments)
            (rouge, rouges), (cider, ciders) = coco(segments, folder)
            corpora.append({
                "name": name, "segments": segments, "pymteval": [bleu, nist], "mteval": mteval(segments, folder),
                "multi_bleu": multi_bleu("multi-bleu.perl", ["-lc"], segments, folder),
                "multi_bleu_detok": multi_bleu("multi-bleu-detok.perl", [], segments, folder),
                "rouge_l": rouge, "cider": cider,
                "each": [pymteval([s]) + [r, c] for s, r, c in zip(segments, rouges, ciders)],
            })
    with open(HERE / "sample.json", "w", encoding="utf-8") as f:
        json.dump({"source": "make_sample.py", "corpora": corpora}, f, ensure_ascii=False, indent=1)
        f.write("\n")


main()
