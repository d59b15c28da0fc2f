"""Makes the small tokenizers in this folder, and golden.json.gz and golden_real.json.gz.

    python golden.py TOKENIZERS GLUE

TOKENIZERS is the unpacked shared/models/tokenizers.tar.xz, GLUE the folder glue of shared/datasets/glue.tar.xz.
Made with transformers 5.23.0, tokenizers 0.23.3, sentencepiece 0.2.3. The small tokenizers are cut from the real
ones: BERT's is Apache 2.0, RoBERTa's and GPT-2's are MIT. unigram is trained here.
"""

import gzip
import io
import json
import pathlib
import shutil
import sys
import tempfile

import tokenizers
import transformers
from transformers import BertTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast, RobertaTokenizer

HERE = pathlib.Path(__file__).parent
REAL, GLUE = map(pathlib.Path, sys.argv[1:3])

# The texts that the rules of tokenizers differ on.
TEXTS = [
    "", " ", "   ", "\t\n\r\n", "a", "A man plays the guitar.", "Don't you think it's they're, we'll I'd?",
    "THE QUICK Brown fox", "  leading and trailing  ", "two  spaces   three    four", "line\nbreak\r\nand\ttab",
    "2000 1,234,567.89 3.14159", "unaffable unbelievably misunderstandings", "a" * 100, "a" * 101, "ab" * 60,
    "résumé naïve café", "re\u0301sume\u0301 Å A\u030a İstanbul ß ẞ ŉ", "ﬁne ﬂow Ⅷ ½ ™ ㎏", "Ünïcödé ÀÉÎ",
    "今天天气很好。", "中文 and English混合text", "東京タワー ひらがな カタカナ", "한국어 텍스트", "Привет, мир!", "שלום עולם",
    "مرحبا بالعالم", "ไทย", "हिन्दी", "🙂", "👨‍👩‍👧‍👦 family 👍🏽", "🏳️‍🌈🇩🇪", "zero\u200bwidth\u200djoin", "soft\u00adhyphen",
    "nbsp\u00a0here\u2003em\u3000ideographic", "ctrl\x01\x02\x1f\x7f\x85end", "nul\x00in\x00\x00side", "\x00", "\x00 \x00a",
    "\ufdd0 \ufdd0\ufdd1 \x00\ufdd0\ufdd2", "\ufffd replacement \ufffe\uffff", "\U0010ffff \U000e0001", "bom\ufeffhere",
    "[CLS] in the text [SEP] and [MASK]", "<s> in </s> the <mask> text <pad>", "a <mask>b  <mask>  c", "<|endoftext|>x",
    "[cls] [ CLS ] [UNK] [PAD]", "##ing ##", "# # ## ### ####", "http://a.b/c?d=e&f=g#h", "user@example.com", "C++ C# .NET",
    "...!!!???", "a.b.c", "(a)[b]{c}<d>", "'quoted' \"double\" `tick`", "—dash–dash-dash", "…ellipsis", "$5 £6 €7 %8",
    "x²+y³=z", "l'été d'été", "o'clock rock'n'roll", "'s 't 're 've 'm 'll 'd", "word's' 'word", "\u2019s it\u2019s",
    "foo_bar__baz", "CamelCaseWord", "ALLCAPS", "mIxEd", "\u0130\u0131", "ǅ ǆ", "e\u0301\u0302\u0303", "\u0301alone",
    "The film is a deeply moving and often funny look at life .",
    "it 's slow -- very , very slow", "He said : `` this is it '' .", "PCCW 's chief operating officer , Mike Butcher",
]
PAIRS = [
    ("", ""), ("", "b"), ("a", ""), (" ", " "), ("A man plays.", "A woman sings."), ("nul\x00", "\x00nul"),
    ("first", " second"), ("first ", "second"), ("今天", "天气"), ("[SEP]", "</s>"),
]
# Texts for every length from 3 to 16: the first longer, the second longer, equal, one alone.
LONG = "one two three four five six seven eight nine ten eleven twelve"
CUTS = [(LONG, "a b c"), ("a b c", LONG), (LONG, LONG), ("a b c d e", "a b c d e f"), (LONG, ""), ("", LONG), (LONG, None)]


def cases():
    out = [{"text": t} for t in TEXTS]
    out += [{"text": a, "pair": b} for a, b in PAIRS]
    for max_length in range(3, 17):
        for a, b in CUTS:
            out.append({"text": a, "max": max_length} | ({} if b is None else {"pair": b}))
    out.append({"text": "the man plays. ", "repeat": 500, "max": 64})
    out.append({"text": "ab", "repeat": 4000, "max": 64})
    return out


def write(path, value, indent=None):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":")) + "\n")


def small_wordpiece():
    source = json.loads((REAL / "bert-uncased/tokenizer.json").read_text())
    vocab = source["model"]["vocab"]
    words = sorted(vocab, key=vocab.get)
    keep = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    keep += [w for w in words if len(w.removeprefix("##")) == 1 and ord(w[-1]) < 0x600]
    keep += [w for w in words if w in "今 天 气 很 好 中 文 東 京".split()]
    keep += [w for w in words if w.isascii() and len(w) > 1 and "unused" not in w and w not in keep][:900]
    keep += [w for w in words if w.startswith("##") and w.isascii() and w not in keep][:500]
    source["model"]["vocab"] = {w: i for i, w in enumerate(keep)}
    for token in source["added_tokens"]:
        token["id"] = keep.index(token["content"])
    for name, token in source["post_processor"]["special_tokens"].items():
        token["ids"] = [keep.index(name)]
    write(HERE / "bert/tokenizer.json", source)
    (HERE / "bert/vocab.txt").write_text("".join(w + "\n" for w in keep))


def small_bpe(name, special_first, special_last):
    lines = (REAL / name / "merges.txt").read_text().split("\n")
    vocab = json.loads((REAL / name / "vocab.json").read_text())
    merges = lines[1:500] + [m for m in lines[500:-1] if m.startswith("#")]
    letters = sorted((w for w in vocab if len(w) == 1), key=vocab.get)
    made = set(letters)
    kept = []
    for merge in merges:
        a, b = merge.split(" ")
        if a in made and b in made:
            made.add(a + b)
            kept.append(merge)
    tokens = special_first + letters + [m.replace(" ", "") for m in kept] + special_last
    small = {w: i for i, w in enumerate(tokens)}
    write(HERE / name / "vocab.json", small)
    (HERE / name / "merges.txt").write_text("\n".join(lines[:1] + kept) + "\n")
    if (REAL / name / "tokenizer.json").exists():
        source = json.loads((REAL / name / "tokenizer.json").read_text())
        source["model"] |= {"vocab": small, "merges": kept}
        for token in source["added_tokens"]:
            token["id"] = small[token["content"]]
        for part in "sep", "cls":
            source["post_processor"][part][1] = small[source["post_processor"][part][0]]
        write(HERE / name / "tokenizer.json", source)


def small_unigram():
    """XLM-R's form: a sentencepiece Unigram with a charsmap, ids shifted for <s> <pad> </s> <unk>."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb

    lines = [l.split("\t")[0] for l in (GLUE / "SST-2/dev.tsv").read_text().split("\n")[1:]]
    rules = {"\u212b": "\u00c5", "\ufb01": "fi", "\u2167": "VIII", "\u2122": "TM", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ", "\u0001": "", "\u00bd": "1/2"}
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder) / "rules.tsv"
        tsv.write_text("".join(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n" for a, b in rules.items()))
        blob = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=blob, vocab_size=800, model_type="unigram",
            normalization_rule_tsv=str(tsv), num_threads=1,
        )
    proto = pb.ModelProto.FromString(blob.getvalue())
    vocab = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    vocab += [[p.piece, p.score] for p in proto.pieces[3:]] + [["<mask>", 0.0]]
    ids = {"<s>": 0, "</s>": 2}

    def special(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    def sequence(name):
        return {"Sequence": {"id": name, "type_id": 0}}

    import base64

    single = [special("<s>"), sequence("A"), special("</s>")]
    write(HERE / "unigram/tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": i, "content": c, "single_word": False, "lstrip": c == "<mask>", "rstrip": False, "normalized": False, "special": True}
            for i, c in [(0, "<s>"), (1, "<pad>"), (2, "</s>"), (3, "<unk>"), (len(vocab) - 1, "<mask>")]
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing", "single": single,
            "pair": single + [special("</s>"), sequence("B"), special("</s>")],
            "special_tokens": {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in ids.items()},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
    })


def encode(tok, case):
    # Lists, because transformers takes a single empty second text for no second text.
    text = [case["text"] * case.get("repeat", 1)]
    max_length = case.get("max")
    args = {"truncation": bool(max_length), "max_length": max_length}
    pair = [case["pair"]] if "pair" in case else None
    if max_length and max_length < tok.num_special_tokens_to_add(pair is not None):
        return None  # nothing sensible: the library's unsigned subtraction wraps around
    enc = tok(text, pair, return_token_type_ids=True, padding=False, **args)
    out = {"ids": enc["input_ids"][0]}
    if any(enc["token_type_ids"][0]):
        out["segments"] = enc["token_type_ids"][0]
    if max_length and len(tok(text, pair, padding=False, truncation=False)["input_ids"][0]) > max_length:
        out["truncated"] = True
    return out


def from_files(source, files, config, cls):
    """The tokenizer of a folder with some of the files of source and that tokenizer_config.json."""
    with tempfile.TemporaryDirectory() as folder:
        for f in files:
            shutil.copy(source / f, folder)
        if "tokenizer.json" in files:
            return PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", **config)
        (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        return cls.from_pretrained(folder)


BERT, ROBERTA, GPT2 = ("vocab.txt",), ("vocab.json", "merges.txt"), ("vocab.json", "merges.txt")
# transformers 5 drops <mask>'s lstrip where the config does not say it; the model's own tokenizer.json has it.
MASK = {"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}}
FORMS = [  # name, folder, files, tokenizer_config.json, class
    ("bert", "bert", ("tokenizer.json",), {}, None),
    ("bert left", "bert", ("tokenizer.json",), {"truncation_side": "left"}, None),
    ("bert vocab", "bert", BERT, {}, BertTokenizer),
    ("bert cased", "bert", BERT, {"do_lower_case": False}, BertTokenizer),
    ("bert accents", "bert", BERT, {"strip_accents": False, "tokenize_chinese_chars": False}, BertTokenizer),
    ("roberta", "roberta", ("tokenizer.json",), {}, None),
    ("roberta vocab", "roberta", ROBERTA, MASK, RobertaTokenizer),
    ("roberta prefix", "roberta", ROBERTA, {"add_prefix_space": True} | MASK, RobertaTokenizer),
    ("gpt2 vocab", "gpt2", GPT2, {}, GPT2Tokenizer),
    ("unigram", "unigram", ("tokenizer.json",), {}, None),
]
REAL_FORMS = [
    ("bert", "bert-uncased", ("tokenizer.json",), {}, None),
    ("bert vocab", "bert-uncased", BERT, {}, BertTokenizer),
    ("roberta", "roberta", ("tokenizer.json",), {}, None),
    ("roberta vocab", "roberta", ROBERTA, MASK, RobertaTokenizer),
    ("gpt2 vocab", "gpt2", GPT2, {}, GPT2Tokenizer),
]
ROWS = [("SST-2/dev.tsv", [0]), ("CoLA/dev.tsv", [3]), ("MRPC/dev.tsv", [3, 4]), ("RTE/dev.tsv", [1, 2]), ("STS-B/dev.tsv", [7, 8]), ("QNLI/dev.tsv", [1, 2])]


def goldens(root, forms, cases, extra):
    all_forms, results = {}, {}
    for name, folder, files, config, cls in forms:
        tok = from_files(root / folder, files, config, cls)
        got = [encode(tok, c) for c in cases]
        form = {"folder": folder, "files": files, "config": config}
        same = next((n for n, r in results.items() if r == got), None)
        if same:
            form["same_as"] = same
        else:
            form["results"] = got
        results[name] = got
        all_forms[name] = form
        print(name, sum(r is not None for r in got), "same as" if same else "", same or "")
    return {"versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}, **extra, "forms": all_forms}


def write_goldens(name, value):
    with gzip.GzipFile(HERE / name, "wb", mtime=0) as f:
        f.write(json.dumps(value, separators=(",", ":")).encode())


if __name__ == "__main__":
    small_wordpiece()
    small_bpe("roberta", ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    small_bpe("gpt2", [], ["<|endoftext|>"])
    small_unigram()
    c = cases()
    write_goldens("golden.json.gz", goldens(HERE, FORMS, c, {"cases": c}))
    real = [{"text": t} for t in TEXTS] + [{"text": a, "pair": b} for a, b in PAIRS]
    rows = []
    for path, columns in ROWS:
        for number, line in enumerate((GLUE / path).read_text(encoding="utf-8-sig").split("\n")):
            if 1 <= number <= 60:
                fields = line.rstrip("\r").split("\t")
                row = {"text": fields[columns[0]]} | ({"pair": fields[columns[1]]} if len(columns) > 1 else {})
                real.append(row | {"max": 40})
                rows.append({"file": path, "line": number, "columns": columns, "max": 40})
    write_goldens("golden_real.json.gz", goldens(REAL, REAL_FORMS, real, {"cases": real[: len(real) - len(rows)], "rows": rows}))
