"""Makes golden_words.json.gz: sentences given as words, encoded by transformers with is_split_into_words=True.

    python golden_words.py TOKENIZERS JNLPBA

TOKENIZERS is the unpacked shared/models/tokenizers.tar.xz, JNLPBA the folder jnlpba of shared/datasets/jnlpba.tar.xz.
Made with transformers 5.23.0, tokenizers 0.23.3. Of JNLPBA's sentences, which are not ours to copy, only a digest
of all results is kept.

transformers leaves a word out of which the tokenizer makes nothing. Here such a word is the unknown token, and
"lost" says how many there were.
"""

import gzip
import hashlib
import json
import pathlib
import shutil
import struct
import sys
import tempfile

import tokenizers
import transformers
from golden import HERE, MASK, TEXTS
from transformers import BertTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast, RobertaTokenizer

REAL, JNLPBA = map(pathlib.Path, sys.argv[1:3])

SENTENCES = [
    [], ["a"], ["A", "man", "plays", "the", "guitar", "."], ["IL-2", "gene", "expression", "and", "NF-kappa", "B"],
    ["(", "a", ")", ",", "b", "'s", "``", "''"], ["#", "##", "##ing", "# #"], ["New York", " leading", "trailing ", "two  spaces"],
    ["", " ", "\t", "a"], ["\u200b", "\x01", "\ufeff", "\u00ad", "\u0301", "x"], ["a\x00b", "\x00", "c"],
    ["[CLS]", "[SEP]", "[MASK]", "x[MASK]y", "[UNK]"], ["<s>", "</s>", "<mask>", "x<mask>y", "a <mask>", "<pad>"], ["<|endoftext|>", "x<|endoftext|>y"],
    ["今天天气", "很", "好"], ["naïve", "café", "ΔΨ", "β-globin", "5'"], ["🙂", "👨‍👩‍👧‍👦", "x🙂"], ["a" * 150, "b"], ["\ufdd0", "\ufdd0\ufdd1"],
    ["don't", "I'd", "they're"], ["2000", "1,234", "3.14"], ["\n", "a\nb"],
] + [t.split(" ") for t in TEXTS]

BERT, BPE = ("vocab.txt",), ("vocab.json", "merges.txt")
FORMS = [  # name, folder, files, tokenizer_config.json, class
    ("bert", "bert", ("tokenizer.json",), {}, None),
    ("bert vocab", "bert", BERT, {}, BertTokenizer),
    ("bert cased", "bert", BERT, {"do_lower_case": False}, BertTokenizer),
    ("roberta", "roberta", ("tokenizer.json",) + BPE, MASK, RobertaTokenizer),
    ("roberta vocab", "roberta", BPE, MASK, RobertaTokenizer),
    ("gpt2 vocab", "gpt2", BPE, {}, GPT2Tokenizer),
    ("unigram", "unigram", ("tokenizer.json",), {}, None),
]
REAL_FORMS = [
    ("bert", "bert-uncased", ("tokenizer.json",), {}, None),
    ("bert vocab", "bert-uncased", BERT, {}, BertTokenizer),
    ("roberta", "roberta", ("tokenizer.json",) + BPE, MASK, RobertaTokenizer),
    ("roberta vocab", "roberta", BPE, MASK, RobertaTokenizer),
]


def load(folder, files, config, cls):
    with tempfile.TemporaryDirectory() as copy:
        for f in files:
            shutil.copy(folder / f, copy)
        pathlib.Path(copy, "tokenizer_config.json").write_text(json.dumps(config))
        if cls is not None:
            return cls.from_pretrained(copy, **({} if cls is BertTokenizer else {"add_prefix_space": True}))
        tok = PreTrainedTokenizerFast(tokenizer_file=f"{copy}/tokenizer.json", **config)
        tok.unk_token = next(t for t in ("[UNK]", "<unk>") if t in tok.get_vocab())
        return tok


def special(tok):
    """The special tokens before and behind a sentence."""
    enc = tok(["a"], is_split_into_words=True)
    of_words = [w is not None for w in enc.word_ids()]
    start, count = of_words.index(True), sum(of_words)
    return enc["input_ids"][:start], enc["input_ids"][start + count:]


def encode(tok, around, words):
    """All ids, the first token of every word, and the number of words that transformers leaves out."""
    enc = tok(words, is_split_into_words=True) if words else None
    of = {}
    for token, word in zip(enc["input_ids"], enc.word_ids()) if words else ():
        of.setdefault(word, []).append(token)
    ids, first = list(around[0]), []
    for i in range(len(words)):
        first.append(len(ids))
        ids += of.get(i, [tok.unk_token_id])
    ids += around[1]
    lost = sum(i not in of for i in range(len(words)))
    if words and not lost:
        assert ids == enc["input_ids"] and first == [enc.word_to_tokens(i).start for i in range(len(words))]
    return {"ids": ids, "first": first, "lost": lost}


def sentences(path):
    for block in path.read_text().split("\n\n"):
        if block.strip():
            yield [line.split("\t")[0] for line in block.strip("\n").split("\n")]


def digest(results):
    """SHA-256 of the lengths of ids and first, then both, as little-endian int32, sentence after sentence."""
    h = hashlib.sha256()
    for r in results:
        numbers = [len(r["ids"]), len(r["first"]), *r["ids"], *r["first"]]
        h.update(struct.pack(f"<{len(numbers)}i", *numbers))
    return h.hexdigest()


def goldens(root, forms, corpora):
    out = {}
    for name, folder, files, config, cls in forms:
        tok = load(root / folder, files, config, cls)
        around = special(tok)
        form = {"folder": folder, "files": files, "config": config, "results": [encode(tok, around, s) for s in SENTENCES]}
        form["digests"] = {file: digest(encode(tok, around, s) for s in rows) for file, rows in corpora.items()}
        out[name] = form
        print(name, sum(r["lost"] for r in form["results"]), form["digests"])
    return out


if __name__ == "__main__":
    corpora = {f"{part}.conll": list(sentences(JNLPBA / f"{part}.conll")) for part in ("train", "devel", "test")}
    value = {
        "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "sentences": SENTENCES, "small": goldens(HERE, FORMS, {}), "real": goldens(REAL, REAL_FORMS, corpora),
    }
    with gzip.GzipFile(HERE / "golden_words.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(value, separators=(",", ":")).encode())
