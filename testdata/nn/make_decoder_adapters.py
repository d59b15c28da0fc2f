"""Bottleneck adapters of the tiny decoders as AdapterHub saves them, and what it computes with them.

    pip install torch==2.11.0 transformers==4.57.6 adapters==1.3.0 peft==0.21.2
    python testdata/nn/make_decoder_adapters.py
    python testdata/nn/make_decoder_adapters.py check FOLDER ADAPTER

BASE-houlsby has AdapterHub's config double_seq_bn, BASE-pfeiffer seq_bn, for the models of make_decoders.py, which runs
first, with another transformers. Each folder is what save_adapter(use_safetensors=True) writes; weights and biases are not
those of a fresh adapter. In those of HEADS the head is there too, as AdapterHub stores it unless it is told not to: the
matrix that scores the vocabulary, which training an adapter leaves as it is. The others are saved with with_head=False.
expected-ADAPTER.safetensors has the batch of its base and the numbers that make_decoders.py stores of an adapter, without
those of the base and of smoothed labels; names of parameters are those in the folder without "adapters.task.".

With `check`, AdapterHub loads the adapter in FOLDER, which another program wrote from the stored ADAPTER, and compares its
logits with the expected ones: with the model class of the head, and with AdapterHub's flexible heads.
"""

import json
import os
import shutil
import sys

import adapters
import torch
from safetensors.torch import load_file

from decoder_fixture import load, wanted_logits
from fixture import HERE, noise, save, setup, write_json
from make_decoders import expect

NAME = "task"
# adapter: base, AdapterHub's configuration, reduction_factor (bottlenecks of 4, 5, 4, 8 and 4), where the base's batch is
ADAPTERS = {
    "gpt2-tiny-houlsby": ("gpt2-tiny", "double_seq_bn", 6, "gpt2-tiny"),
    "gpt2-tiny-pfeiffer": ("gpt2-tiny", "seq_bn", 4.8, "gpt2-tiny"),
    "llama-tiny-houlsby": ("llama-tiny", "double_seq_bn", 8, "llama-tiny"),
    "llama-tiny-pfeiffer": ("llama-tiny", "seq_bn", 4, "llama-tiny"),
    "mistral-tiny-houlsby": ("mistral-tiny", "double_seq_bn", 4, "mistral-tiny-lora"),
}
HEADS = ("gpt2-tiny-houlsby", "llama-tiny-pfeiffer")


def own(model):
    return {k: p for k, p in model.named_parameters() if f".adapters.{NAME}." in k}


def write_adapter(name, base, config, reduction_factor, seed):
    model = load(base, torch.float32)
    adapters.init(model)
    model.add_adapter(NAME, config=adapters.AdapterConfig.load(config, reduction_factor=reduction_factor))
    with torch.no_grad():
        for n, p in enumerate(own(model).values()):
            p.copy_(noise(p.shape, seed + n, 0.4))
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_adapter(folder, NAME, with_head=name in HEADS, use_safetensors=True)
    for file in sorted(f for f in os.listdir(folder) if f.endswith(".json")):
        with open(os.path.join(folder, file)) as f:
            stored = json.load(f)
        stored["model_name"] = base  # not a path of the machine that ran this
        write_json(f"{name}/{file}", stored)


def adapted(base, folder, dtype):
    model, info = load(base, dtype), {}
    adapters.init(model)
    model.load_adapter(folder, load_as=NAME, use_safetensors=True, set_active=True, loading_info=info)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    return model.eval().to(dtype)


def expect_adapter(name, base, batch):
    def build(dtype):
        model = adapted(base, os.path.join(HERE, name), dtype)
        model.train_adapter(NAME)
        trained = {k for k, p in model.named_parameters() if p.requires_grad}
        assert trained == set(own(model)), trained  # AdapterHub leaves the head of a language model as it is
        return model.eval(), own(model)

    tensors, errors = expect(name, batch, build)
    tensors = {k.replace(f".adapters.{NAME}.", "."): t for k, t in tensors.items() if not k.startswith("loss.smoothed")}
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
            error = (wanted_logits(model, batch) - want).abs().max().item()
        print(f"{name}: {type(model).__name__} differs by {error:.1e}")
        assert error < 2e-6


def main():
    setup()
    if sys.argv[1:2] == ["check"]:
        return check(*sys.argv[2:])
    for n, (name, (base, config, reduction_factor, batch)) in enumerate(ADAPTERS.items()):
        write_adapter(name, base, config, reduction_factor, seed=4600 + 100 * n)
        expect_adapter(name, base, stored_batch(batch)[0])


if __name__ == "__main__":
    main()
