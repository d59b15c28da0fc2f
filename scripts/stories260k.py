#!/usr/bin/env python3
"""Unpacks stories260K, a trained LLaMA of 260,000 weights, into a Hugging Face folder with a tokenizer.

ARCHIVE is by default ../shared/models/stories260K.tar.xz, DIR third_party/models/stories260K.

config.json and model.safetensors are in the archive. tokenizer.json is made of its tok512.bin, llama2.c's form of a
SentencePiece model of type BPE: pieces with scores, the best piece that two neighbours make being joined first. Python's
own library is enough. Says nothing when DIR is there already.
"""

import argparse
import hashlib
import os
import shutil
import struct
import sys
import tarfile
import tempfile

from gguf_to_hf import write_json

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SHA256 = "fd8bd0f04231623d710da7511ebc8da8df5f5504538deaed66b2a7702fe93ead"
FIRST_BYTE = 3  # pieces 3 to 258 are the bytes, 0 to 2 are <unk>, <s> and </s>
FIRST_PIECE = FIRST_BYTE + 256
SPACE = "\u2581"  # SentencePiece's


def pieces(data):
    """The pieces of tok512.bin and their scores, spaces as SentencePiece writes them."""
    at, out = 4, []  # after the length of the longest piece
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        out.append((data[at : at + length].decode().replace(" ", SPACE), score))
        at += length
    return [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)] + out[FIRST_BYTE:]


def merges(scored):
    """Every way to join two pieces to a third, the best piece first."""
    ids = {piece: n for n, (piece, _) in enumerate(scored)}
    found = []
    for piece, score in scored[FIRST_PIECE:]:
        for i in range(1, len(piece)):
            left, right = piece[:i], piece[i:]
            if min(ids.get(left, 0), ids.get(right, 0)) >= FIRST_PIECE:
                found.append((-score, ids[left], ids[right], f"{left} {right}"))
    return [both for *_, both in sorted(found)]


def tokenizer(scored):
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    begin = [{"SpecialToken": {"id": "<s>", "type_id": 0}}]
    text = lambda name, segment: [{"Sequence": {"id": name, "type_id": segment}}]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": n, "content": scored[n][0], **special} for n in range(FIRST_BYTE)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": SPACE}, {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        ]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing", "single": begin + text("A", 0), "pair": begin + text("A", 0) + text("B", 1),
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {piece: n for n, (piece, _) in enumerate(scored)}, "merges": merges(scored),
        },
    }


TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, "model_max_length": 512,
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("archive", metavar="ARCHIVE", nargs="?", default=os.path.join(ROOT, "../shared/models/stories260K.tar.xz"))
    p.add_argument("dest", metavar="DIR", nargs="?", default=os.path.join(ROOT, "third_party/models/stories260K"))
    args = p.parse_args()
    archive, dest = args.archive, args.dest
    files = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    if all(os.path.isfile(os.path.join(dest, name)) for name in files):
        return
    try:
        with open(archive, "rb") as f:
            got = hashlib.sha256(f.read()).hexdigest()
    except OSError as e:
        sys.exit(f"stories260k.py: {archive}: {e.strerror}; give the archive as the first argument")
    if got != SHA256:
        sys.exit(f"stories260k.py: {archive}: SHA-256 is {got}, want {SHA256}")
    os.makedirs(os.path.dirname(os.path.abspath(dest)), exist_ok=True)
    work = tempfile.mkdtemp(prefix=".stories260K.", dir=os.path.dirname(os.path.abspath(dest)))
    try:
        os.chmod(work, 0o755)
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    with tar.extractfile(member) as src, open(os.path.join(work, os.path.basename(member.name)), "wb") as dst:
                        shutil.copyfileobj(src, dst)
        with open(os.path.join(work, "tok512.bin"), "rb") as f:
            write_json(os.path.join(work, "tokenizer.json"), tokenizer(pieces(f.read())))
        write_json(os.path.join(work, "tokenizer_config.json"), TOKENIZER_CONFIG)
        shutil.rmtree(dest, ignore_errors=True)
        os.rename(work, dest)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
