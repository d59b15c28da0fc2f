"""Makes brought.json: what transformers' AutoTokenizer makes of folders whose settings
say more than tokenizer.json.

    pip install transformers==5.24.0
    python brought.py

Each entry has the files of a folder, and the ids and segments of texts and pairs.
"""

import json
import pathlib
import tempfile

import transformers
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a film good the was [unused1] < > new x ##s / b [ ] pad".split()


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


def decoder(*tokens):
    return {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}


def wordpiece(*more):
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(i, WORDS[i]) for i in range(5)] + list(more),
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [WORDS.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {w: i for i, w in enumerate(WORDS)}},
    }


N = len(WORDS)
TEXTS = [["the <new> film was good"], ["A <NEW>film <x> , <pad> [PAD]"], ["[unused1] <a> <b>"], ["the film", "was <x> good"]]
FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
BERT = {"tokenizer_class": "BertTokenizer"}
FOLDERS = {
    "nothing more": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST},
    "added_tokens_decoder": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {
        "added_tokens_decoder": decoder(*[added(i, WORDS[i]) for i in range(5)], added(N, "<new>", special=False, normalized=True), added(N + 1, "<x>"))}},
    "added_tokens_decoder of BERT's class": {"tokenizer.json": wordpiece(), "tokenizer_config.json": BERT | {
        "added_tokens_decoder": decoder(*[added(i, WORDS[i]) for i in range(5)], added(N, "<new>", special=False, normalized=True), added(N + 1, "<x>"))}},
    "added_tokens.json": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST, "added_tokens.json": {"<x>": N + 1, "<new>": N}},
    "a word of the vocabulary made a token": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {
        "added_tokens_decoder": decoder(added(10, "[unused1]"))}},
    "other ids": {"tokenizer.json": wordpiece(added(N, "<a>")), "tokenizer_config.json": FAST | {
        "added_tokens_decoder": decoder(added(7, "<x>"), added(N + 9, "<new>"), added(N + 4, "[unused1]"), added(N + 3, "<a>"))}},
    "other flags": {"tokenizer.json": wordpiece(added(N, "<new>"), added(N + 1, "<x>")), "tokenizer_config.json": FAST | {
        "added_tokens_decoder": decoder(added(N, "<new>", lstrip=True, rstrip=True), added(N + 1, "<x>", single_word=True))}},
    "some in both": {"tokenizer.json": wordpiece(added(N, "<new>")), "tokenizer_config.json": FAST | {
        "added_tokens_decoder": decoder(added(N, "<new>"), added(N + 1, "<x>"))}},
    "a named token that the vocabulary lacks": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {"pad_token": "<pad>"}},
    "a named token as an object": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {"mask_token": {
        "__type": "AddedToken", "content": "<x>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False, "special": True}}},
    "additional_special_tokens": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {"additional_special_tokens": ["<a>", "<b>"]}},
    "extra_special_tokens": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST | {"extra_special_tokens": ["<b>", "<a>"]}},
    "special_tokens_map.json": {"tokenizer.json": wordpiece(), "tokenizer_config.json": FAST, "special_tokens_map.json": {
        "additional_special_tokens": ["<a>", "<b>"], "pad_token": "<pad>"}},
    "no segments": {"tokenizer.json": wordpiece(), "tokenizer_config.json": BERT | {"model_input_names": ["input_ids", "attention_mask"]}},
    "segments": {"tokenizer.json": wordpiece(), "tokenizer_config.json": BERT},
    "no segments by the class": {"tokenizer.json": wordpiece(), "tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}},
    "vocab.txt with added_tokens.json": {"vocab.txt": "\n".join(WORDS) + "\n", "tokenizer_config.json": BERT, "added_tokens.json": {"<new>": N}},
    "vocab.txt without segments": {"vocab.txt": "\n".join(WORDS) + "\n", "tokenizer_config.json": BERT | {"model_input_names": ["input_ids", "attention_mask"]}},
    "vocab.txt with spaces at the ends of lines": {"vocab.txt": "\n".join(w + " \t" * (i % 2) for i, w in enumerate(WORDS)) + "\n", "tokenizer_config.json": BERT},
    "vocab.txt with lines of Windows": {"vocab.txt": "\r\n".join(WORDS) + "\r\n", "tokenizer_config.json": BERT},
    "vocab.txt with a blank line within": {"vocab.txt": "\n".join(WORDS[:8] + [""] + WORDS[8:]), "tokenizer_config.json": BERT},
    "vocab.txt with a blank last line": {"vocab.txt": "\n".join(WORDS) + "\n\n", "tokenizer_config.json": BERT},
}

entries = []
for name, files in FOLDERS.items():
    with tempfile.TemporaryDirectory() as folder:
        text = {file: content if isinstance(content, str) else json.dumps(content) for file, content in files.items()}
        for file, content in text.items():
            pathlib.Path(folder, file).write_bytes(content.encode())
        pathlib.Path(folder, "config.json").write_text('{"model_type": "bert"}')
        tok = AutoTokenizer.from_pretrained(folder)
        entry = {"name": name, "files": text, "texts": TEXTS, "ids": [], "segments": []}
        for t in TEXTS:
            enc = tok(*t)
            entry["ids"].append(enc["input_ids"])
            entry["segments"].append(enc.get("token_type_ids") or [0] * len(enc["input_ids"]))
        entries.append(entry)
made = f"transformers {transformers.__version__}, tokenizers {__import__('tokenizers').__version__}"
(HERE / "brought.json").write_text(json.dumps({"made_with": made, "folders": entries}, indent=1) + "\n")
