"""What the fixture scripts of this folder share: numbers, batches, and the safetensors writer.

Weights come from `noise`, not from a library's generator, so that another language can make the same ones:

    func noise(i, seed uint32) float64 { // in [-1, 1)
        x := i + seed*0x9E3779B9
        x ^= x >> 16; x *= 0x85EBCA6B; x ^= x >> 13; x *= 0xC2B2AE35; x ^= x >> 16
        return float64(x)/(1<<31) - 1
    }

Element i of a tensor in row-major order is float32(bound * noise(i, seed)).
"""

import json
import os
import shutil
import sys
import warnings

import numpy as np
import peft
import safetensors
import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def setup():
    """One thread, so that sums have one order, and no chatter of the libraries."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", ".*base_model_name_or_path` was renamed")
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing")


def noise(shape, seed, bound=1.0):
    """A float32 tensor of reproducible values, uniform in [-bound, bound)."""
    with np.errstate(over="ignore"):
        x = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed) * np.uint32(0x9E3779B9)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return torch.from_numpy((bound * (x / 2.0**31 - 1)).astype(np.float32)).reshape(shape)


def fill(model, seed, bound=0.35):
    """Overwrites every parameter; norms stay around 1 so that no activation collapses."""
    with torch.no_grad():
        for n, (name, p) in enumerate(model.named_parameters()):
            p.copy_(noise(p.shape, seed + n, bound))
            if "norm" in name.lower() and name.endswith("weight"):
                p.add_(1)


def batch(lengths, pairs, config, labels, seed):
    """A padded batch of made-up token ids with this model's special tokens, as its tokenizer would lay them out."""
    roberta = config.model_type == "roberta"
    cls, sep = (0, 2) if roberta else (2, 3)
    width, first = max(lengths), 5  # ids below `first` are special
    ids = torch.full((len(lengths), width), config.pad_token_id)
    segments = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, (length, pair) in enumerate(zip(lengths, pairs)):
        words = (noise((length,), seed + row).double() + 1) / 2 * (config.vocab_size - first)
        ids[row, :length] = words.long().clamp(max=config.vocab_size - first - 1) + first
        ids[row, 0], ids[row, length - 1] = cls, sep
        if pair:
            middle = length // 2
            ids[row, middle] = sep
            if roberta:
                ids[row, middle + 1] = sep
            else:
                segments[row, middle + 1 : length] = 1
    return {"ids": ids, "lengths": torch.tensor(lengths), "segments": segments, "labels": torch.tensor(labels)}


def token_batch(lengths, pairs, config, seed):
    """A batch with labels for tokens: `want` are rows of the packed batch, most of them, none of them special or in a
    sequence of 3 tokens, `want_per` how many belong to each sequence, and `labels` theirs."""
    b = batch(lengths, pairs, config, [], seed)
    kept = (noise(b["ids"].shape, seed + 100) > -0.4) & (b["ids"] >= 5) & (b["lengths"][:, None] > 3)
    real = attention_mask(b).bool()
    b["want"], b["want_per"] = kept[real].nonzero()[:, 0], kept.sum(dim=1)
    labels = (noise((len(b["want"]),), seed + 200).double() + 1) / 2 * config.num_labels
    return {**b, "labels": labels.long()}


def attention_mask(b):
    return (torch.arange(b["ids"].shape[1]) < b["lengths"][:, None]).long()


def places(b):
    """Where the wanted rows are in the padded batch: [B, T] of bool."""
    real = attention_mask(b).bool()
    wanted = torch.zeros(int(b["lengths"].sum()), dtype=torch.bool)
    wanted[b["want"]] = True
    return torch.zeros_like(real).masked_scatter(real, wanted)


def padded_labels(b):
    """The labels as transformers takes them: for tokens [B, T], with -100 where none is wanted."""
    if "want" not in b:
        return b["labels"]
    return torch.full_like(b["ids"], -100).masked_scatter(places(b), b["labels"])


def inputs(b):
    """The keyword arguments of a transformers model for a batch; GPT-2 takes segments for more words."""
    segments = {"token_type_ids": b["segments"]} if b["segments"].any() else {}
    return {"input_ids": b["ids"], "attention_mask": attention_mask(b), **segments}


def prefixed(prefix, tensors):
    return {f"{prefix}.{name}": t for name, t in tensors.items()}


def save(path, tensors, **metadata):
    """Writes a safetensors file; unlike the official writer it orders the metadata, so equal input gives equal bytes."""
    metadata = {
        "format": "pt",
        "script": "testdata/nn/" + os.path.basename(sys.argv[0]),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        **metadata,
    }
    header, chunks, offset = {"__metadata__": dict(sorted(metadata.items()))}, [], 0
    for name, t in sorted(tensors.items()):
        data = t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    path = os.path.join(HERE, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head + b"".join(chunks))
    with safetensors.safe_open(path, "pt") as f:  # the official reader agrees with what was written
        assert sorted(f.keys()) == sorted(tensors)
        assert all(torch.equal(f.get_tensor(k), t) for k, t in tensors.items())
    print(f"{os.path.relpath(path, HERE):48} {os.path.getsize(path):8} bytes")


def write_json(path, value):
    with open(os.path.join(HERE, path), "w") as f:
        json.dump(value, f, indent=2, sort_keys=True, ensure_ascii=False)
        f.write("\n")


def save_adapter(name, base, model):
    """The adapter as PEFT saves it, without what tells of the machine."""
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = base
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    with open(os.path.join(folder, "adapter_config.json")) as f:
        stored = json.load(f)
    if isinstance(stored["target_modules"], list):
        stored["target_modules"].sort()  # PEFT keeps them in a set
    write_json(f"{name}/adapter_config.json", stored)
