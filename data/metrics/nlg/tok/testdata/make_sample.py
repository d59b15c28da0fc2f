"""Writes sample.jsonl: the words that the official tokenisers find in the lines below.

Run: python make_sample.py E2E ENGLISH    (needs nltk 3.5, future and Java)

E2E is a checkout of https://github.com/tuetschek/e2e-metrics with pycocoevalcap/tokenizer/stanford-corenlp-3.4.1.jar.
ENGLISH is Punkt's English model as text, data/english.json of https://github.com/neurosnap/sentences v1.1.2: what is
in nltk_data's english.pickle.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import nltk.tokenize
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

E2E, ENGLISH = (pathlib.Path(arg).resolve() for arg in sys.argv[1:])
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(E2E))
from metrics.pymteval import NGramScore

# PTB reads them as one file: the order matters where a line ends in an abbreviation.
LINES = """\
Alimentum is a family-friendly place, located in the city centre; prices are £20-25.
It's 5-star, isn't it? They'd've gone: we'll see!
I cannot, I can't, I'm gonna; lemme go, d'ye want 'em? 'Tis rock 'n' roll, 'twas the '90s.
WE'RE NOT GONNA, CANNOT, DON'T; O'Neil's o'clock l'été d'Or y'all c'mon C'EST Dunkin' O'o cont'd.
Dr. Smith's U.S. office (est. 1999) is open 9 a.m.-5 p.m.
Smith & Co. Inc. bought Jones Ltd. of Calif. and of N.Y. in Jan. 1999. He sold it to Acme Corp.
The next line begins with a capital, so Corp. had two full stops.
In the U.S. The name ends a sentence, after I. It is No. 5 of Figs. 3 and 4, see p. 7, vs. pp. 8-9 etc.
and this one goes on in small letters after etc.
Pty. Ltd. and Co. Ltd are companies; so is Inc.-x, not Feb.-7.
"Quoted" and 'single' and ``latex'' and “curly” and ‘these’ «and» "$5" say "hello."
She said "hello." "And you?" (I did not.) 'Perhaps.' He left...
wait.. what... no.... yes..... and . . . so on, …
a-b a--b a---b a----b a-----b – c — d &mdash; e _f_g_ h-
(brackets) [square] {curly} <angle> <b class="x y">tag</b> <!-- note --> -LRB- << >>
&amp; &lt;tag&gt; &quot;q&quot; AT&T R&amp;D S&P-500 &eacute;t&eacute; x&nbsp;y &HT; &#123; &apos;s
1,000.50 3 1/2 1/2 ½ 2½ 5°C m² x³ ⅓ 12/05/2001 1-2 -5 +5 10:30 4.5.6 .5 5. 2000s '90s '90
(020) 7946-0958, 555-1234, +44 20 7946 0958 and 020.7946.0958
£5 €15 ¥200 ¢3 $30 US$5 #1 C# c++ 100% @home #tag ***
me@x.org <me@x.org> http://example.com/a?b=c&amp;d, www.foo.com/bar. foo.com example.org/x file.txt, a.b.c
:) :-( ;-D =) <3 ^_^ (-_-) x=y a/b and/or well-known/other 18L/36R
naïve café São Zürich İzmir ΑΣ ΣΑΣ. 日本 Ünïcödé e\u0301 soft\u00adhyphen zero\u200bwidth\u00a0space
☃ ° ² × · • ™ ® § ¿que? ¡ya! ¦ ª º ʻokina emoji 😀 end
semi;colon:colon,comma,1,000,x 5:30:x a:1 ,,b ,: ?! !? ...
B.C. and J. B. Levine, B. Smith of 5. Mr. X. went. Then left. Which? he said. No! Never.
It was 5. He left at 6 p.m. The end of A. Nobody came. Rev. Dr. Jones Jr. Esq. agreed.

No full stop at the end of the last line, which is Acme Inc.""".split("\n")


def ptb(lines):
    with tempfile.TemporaryDirectory() as temp:
        path = pathlib.Path(temp) / "lines"
        path.write_text("\n".join(lines), encoding="utf-8")
        jar = E2E / "pycocoevalcap" / "tokenizer" / "stanford-corenlp-3.4.1.jar"
        run = subprocess.run(["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", path],
                             capture_output=True, check=True)
    return run.stdout.decode("utf-8").split("\n")


def punkt():
    model = json.loads(ENGLISH.read_text(encoding="utf-8"))
    p = PunktParameters()
    p.abbrev_types, p.sent_starters = set(model["AbbrevTypes"]), set(model["SentStarters"])
    p.collocations = {tuple(pair.split(",")) for pair in model["Collocations"]}
    p.ortho_context = collections.defaultdict(int, model["OrthoContext"])
    return PunktSentenceTokenizer(p)


def main():
    sentences, treebank, mteval = punkt(), nltk.tokenize._treebank_word_tokenizer, NGramScore(4, False)
    with open(HERE / "sample.jsonl", "w", encoding="utf-8") as f:
        for line, words in zip(LINES, ptb(LINES), strict=True):
            f.write(json.dumps({
                "in": line, "ptb": words, "mteval13a": " ".join(mteval.tokenize(line)),
                "nltk": " ".join(word for s in sentences.tokenize(line) for word in treebank.tokenize(s)),
                "lora": " ".join(re.split(r"(\W)", line.lower())),
            }, ensure_ascii=False) + "\n")


main()
