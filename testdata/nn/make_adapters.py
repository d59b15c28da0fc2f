"""Bottleneck adapters of the tiny models as AdapterHub saves them, and what it computes with them.

    pip install torch==2.11.0 transformers==4.57.6 adapters==1.3.0 peft==0.21.2
    python testdata/nn/make_adapters.py
    python testdata/nn/make_adapters.py check FOLDER ADAPTER

BASE-houlsby has AdapterHub's config double_seq_bn, BASE-pfeiffer seq_bn, for the models of make_models.py, which runs
first, with another transformers. Each folder is what save_adapter(use_safetensors=True) writes; weights and biases are
not those of a fresh adapter, and the head is not the base's. expected-ADAPTER.safetensors has the batch of its base and
the same numbers as make_models.py stores; names of parameters are those in the folder without "adapters.task.".

With `check`, AdapterHub loads the adapter in FOLDER, which another program wrote from the stored ADAPTER, and compares
its logits with the expected ones: with the model class of the head, and with AdapterHub's flexible heads.
"""

import json
import os
import shutil
import sys

import adapters
import torch
from safetensors.torch import load_file

from fixture import HERE, inputs, noise, places, save, setup, write_json
from make_models import expect, load, trainable

NAME = "task"
# adapter: base, AdapterHub's configuration, reduction_factor (bottlenecks of 4, 8, 5, 3, 4 and 4)
ADAPTERS = {
    "bert-tiny-houlsby": ("bert-tiny", "double_seq_bn", 8),
    "bert-tiny-pfeiffer": ("bert-tiny", "seq_bn", 4),
    "roberta-tiny-houlsby": ("roberta-tiny", "double_seq_bn", 4.8),
    "roberta-tiny-pfeiffer": ("roberta-tiny", "seq_bn", 8),
    "bert-tiny-tokens-houlsby": ("bert-tiny-tokens", "double_seq_bn", 4),
    "bert-tiny-regression-pfeiffer": ("bert-tiny-regression", "seq_bn", 4),
}


def write_adapter(name, base, config, reduction_factor, seed):
    model, _ = load(base, torch.float32)
    adapters.init(model)
    model.add_adapter(NAME, config=adapters.AdapterConfig.load(config, reduction_factor=reduction_factor))
    model.train_adapter(NAME)
    with torch.no_grad():
        for n, (key, p) in enumerate(trainable(model).items()):
            if ".adapters." in key:
                p.copy_(noise(p.shape, seed + n, 0.4))
            else:
                p.add_(noise(p.shape, seed + n, 0.1))
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_adapter(folder, NAME, use_safetensors=True)
    for file in ("adapter_config.json", "head_config.json"):
        with open(os.path.join(folder, file)) as f:
            stored = json.load(f)
        stored["model_name"] = base  # not a path of the machine that ran this
        write_json(f"{name}/{file}", stored)


def adapted(base, folder, dtype):
    model, _ = load(base, torch.float32)
    adapters.init(model)
    info = {}
    name = model.load_adapter(folder, use_safetensors=True, set_active=True, loading_info=info)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.train_adapter(name)
    return model.eval().to(dtype)


def expect_adapter(name, base, batch):
    tensors, errors = expect(name, batch, lambda dtype: adapted(base, os.path.join(HERE, name), dtype))
    tensors = {k.replace(f".adapters.{NAME}.", "."): t for k, t in tensors.items()}
    save(f"expected-{name}.safetensors", tensors, adapters=adapters.__version__, **errors)


def stored_batch(name):
    expected = load_file(os.path.join(HERE, f"expected-{name}.safetensors"))
    return {k.removeprefix("batch."): t for k, t in expected.items() if k.startswith("batch.")}, expected["logits"]


def check(folder, name):
    base = ADAPTERS[name][0]
    batch, want = stored_batch(name)
    flexible = adapters.AutoAdapterModel.from_pretrained(os.path.join(HERE, base), attn_implementation="eager")
    flexible.load_adapter(folder, use_safetensors=True, set_active=True)
    for model in (adapted(base, folder, torch.float32), flexible.eval()):
        with torch.no_grad():
            logits = model(**inputs(batch)).logits
        if "want" in batch:
            logits = logits[places(batch)]
        error = (logits - want).abs().max().item()
        print(f"{name}: {type(model).__name__} differs by {error:.1e}")
        assert error < 2e-6


def main():
    setup()
    if sys.argv[1:2] == ["check"]:
        return check(*sys.argv[2:])
    for n, (name, (base, config, reduction_factor)) in enumerate(ADAPTERS.items()):
        write_adapter(name, base, config, reduction_factor, seed=4000 + 100 * n)
        expect_adapter(name, base, stored_batch(base)[0])


if __name__ == "__main__":
    main()
