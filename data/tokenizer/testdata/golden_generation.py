"""Makes the folder llama/, and golden_generation.json.gz: sources and targets as LoRA's gpt2_encode.py encodes them.

    python golden_generation.py TOKENIZERS DATASETS NLG

TOKENIZERS is the unpacked shared/models/tokenizers.tar.xz, DATASETS holds e2e (official CSV files) and webnlg2017, NLG
is examples/NLG of github.com/microsoft/LoRA at c4593f0, whose encoder.py must agree. Made with transformers 5.23.0,
tokenizers 0.23.3, sentencepiece 0.2.3. The tokenizer in llama/ is trained here, on rows of E2E.
"""

import csv
import gzip
import hashlib
import io
import json
import pathlib
import shutil
import sys
import tempfile

import sentencepiece
import tokenizers
import transformers
from transformers import GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
REAL, DATA, NLG = map(pathlib.Path, sys.argv[1:4])
sys.path.insert(0, str(NLG / "src"))
import encoder  # LoRA's

NAMES = {"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}


def linearized(mr):
    facts = [fact.split("[") for fact in mr.rstrip("]").split("], ")]
    price = lambda k, v: v.replace("£", "£ ").replace("-", " - ") if k == "priceRange" else v
    return " | ".join(f"{NAMES.get(k, k)} : {price(k, v)}" for k, v in facts)


def e2e(name):
    text = (DATA / "e2e" / f"{name}.csv").read_text("utf-8")
    return [(linearized(r["mr"]), r["ref"].strip()) for r in csv.DictReader(io.StringIO(text, newline=""))]


def webnlg(name):
    rows = {}
    for entry in json.loads((DATA / "webnlg2017" / f"{name}.json").read_text("utf-8"))["entries"]:
        (e,) = entry.values()
        source = " | ".join(f"{t['subject']} : {t['property']} : {t['object']}" for t in e["modifiedtripleset"])
        key = source if name != "train" else len(rows)  # dev and test: all texts of a source together
        rows.setdefault(key, []).extend((source, t["lex"]) for t in e["lexicalisations"] if t["comment"] == "good")
    return [row for group in rows.values() for row in group]


SETS = [("e2e", e2e, ["trainset", "devset", "testset_w_refs"]), ("webnlg", webnlg, ["train", "dev", "test"])]
MADE_UP = [
    ("a", "b"), ("name : Café", "  two  spaces "), ("line\nbreak", "new\n\nline"), ("🙂 👨‍👩‍👧‍👦", "日本語 ½ é"), ("</s> <s>", "<|endoftext|> x"),
    ("x", "."), ("x", "\u00a0y"), ("x", "don't"), ("x", "1,234.5"),
]


def encode(tok, start, source, target, space=" "):
    ids = lambda text: tok(text, add_special_tokens=False)["input_ids"]
    end = [tok.eos_token_id]
    prompt = start + ids(source) + end
    return prompt + ids(space + target) + end, len(prompt)


def cases(tok, rows, start=(), space=" "):
    out = []
    for source, target in rows:
        ids, prompt = encode(tok, list(start), source, target, space)
        text = tok.decode(ids[prompt:-1], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        out.append({"source": source, "target": target, "ids": ids, "prompt": prompt, "text": text.strip()})
    return out


def whole(tok, rows):
    """The number of tokens of all rows, the most of one, and a digest of their ids."""
    digest, lengths = hashlib.sha256(), []
    for source, target in rows:
        ids, prompt = encode(tok, [], source, target)
        digest.update((" ".join(map(str, [prompt, *ids])) + "\n").encode())
        lengths.append(len(ids))
    return {"rows": len(rows), "tokens": sum(lengths), "longest": max(lengths), "sha256": digest.hexdigest()}


def check_lora(tok, rows):
    """LoRA's own encoder must give these ids, and its gpt2_decode.py these texts."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(REAL / "gpt2/vocab.json", f"{folder}/encoder.json")
        shutil.copy(REAL / "gpt2/merges.txt", f"{folder}/vocab.bpe")
        lora = encoder.get_encoder(folder)
    for case in cases(tok, rows):
        context, completion = lora.encode(case["source"])[0] + [50256], lora.encode(" " + case["target"])[0] + [50256]
        assert context + completion == case["ids"] and len(context) == case["prompt"], case
        assert lora.decode(completion).split("<|endoftext|>")[0].strip() == case["text"], case


def llama(lines):
    """A small BPE of sentencepiece in the form that transformers 5 writes (Metaspace), and with the normalizers of
    the tokenizer.json that came with Llama 2, which put a space before every text."""
    blob = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=blob, vocab_size=600, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2,
    )
    out = HERE / "llama"
    out.mkdir(exist_ok=True)
    (out / "tokenizer.model").write_bytes(blob.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(out / "tokenizer.model", folder)
        LlamaTokenizer.from_pretrained(folder, add_bos_token=True).save_pretrained(folder)
        file = json.loads(pathlib.Path(folder, "tokenizer.json").read_text())
    bos = [{"SpecialToken": {"id": "<s>", "type_id": 0}}]
    file["post_processor"] = {
        "type": "TemplateProcessing",
        "single": bos + [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": bos + [{"Sequence": {"id": "A", "type_id": 0}}] + bos + [{"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    assert file["pre_tokenizer"]["type"] == "Metaspace" and file["normalizer"] is None
    write = lambda name: (out / name).write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n")
    write("metaspace.json")
    file["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    file["pre_tokenizer"] = None
    write("prepend.json")
    return [PreTrainedTokenizerFast(tokenizer_file=str(out / name), eos_token="</s>") for name in ("metaspace.json", "prepend.json")]


def pieces(rows):
    """A digest of the ids that sentencepiece itself gives for the sources with the real model of LLaMA."""
    sp = sentencepiece.SentencePieceProcessor(model_file=str(REAL / "llama/tokenizer.model"))
    digest = hashlib.sha256()
    for row in rows:
        for text in row:
            ids = sp.encode(text, add_bos=True)
            digest.update((" ".join(map(str, ids)) + "\n").encode())
    return {"rows": len(rows), "sha256": digest.hexdigest()}


if __name__ == "__main__":
    all_rows = {name: [read(part) for part in parts] for name, read, parts in SETS}
    picked = [row for parts in all_rows.values() for rows in parts for row in rows[:: len(rows) // 12]]
    gpt2 = GPT2Tokenizer.from_pretrained(REAL / "gpt2")
    check_lora(gpt2, picked)
    for rows in all_rows.values():
        check_lora(gpt2, [row for part in rows for row in part[::25]])
    metaspace, prepend = llama([text for row in all_rows["e2e"][1][::4] for text in row])
    few = MADE_UP + picked[::4]
    no_space = [(s, t) for s, t in few if not t[0].isspace()]  # a space before a space is a matter of its own
    forms = cases(metaspace, no_space, [1]), cases(prepend, no_space, [1], space="")
    for a, b in zip(*forms):  # Prepend puts a space behind special tokens too
        assert a == b or "<s>" in a["source"], (a, b)
    value = {
        "versions": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "forms": {
            "gpt2 real": cases(gpt2, MADE_UP + picked),
            "gpt2": cases(GPT2Tokenizer.from_pretrained(HERE / "gpt2"), few),
            "llama metaspace": forms[0],
            "llama prepend": forms[1],
        },
        "whole": {f"{name}/{part}": whole(gpt2, rows) for name, sets in all_rows.items() for part, rows in zip(("train", "dev", "test"), sets)},
    }
    value["llama"] = pieces(all_rows["webnlg"][2])
    with gzip.GzipFile(HERE / "golden_generation.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(value, separators=(",", ":")).encode())
    print({k: len(v) for k, v in value["forms"].items()}, value["whole"])
