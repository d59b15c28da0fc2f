"""What rank rules that need no search come to, for bert-tiny, by PyTorch and PEFT.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2   # after make_models.py and make_search.py
    python testdata/nn/make_rules.py

The layers are the linear ones of both blocks: query, key, value, attention.output.dense, intermediate.dense,
output.dense, of block 0 and then of block 1. The batches are those of search-inputs.safetensors. All float64.

expected-rules.safetensors
  gradient.sigma, gradient.worth [12, K]   K = 4: of the mean gradient G over t.0, t.1, t.2 (each example counts alike) the
                    singular values, and σ_i · u_iᵀ G' v_i with the mean gradient G' over v.0, v.1, v.2
  gora.importance [12]   mean |W ∘ G|, with the same G
  gora.ranks [12]        for k = 16: r₀ = 4, r = ⌊round(B·I/ΣI)/(m+n)⌋ from 2 to 16, B = r₀·Σ(m+n)
                         (as gora.py of the authors' MyTransformers does with union_mean, moderate, and no features-func)
  eva.ratio [12, 8]      explained variance ratios of the inputs, by PEFT's IncrementalPCA with exact SVDs over t.0 to t.3
  eva.ranks [12]         by PEFT's get_eva_state_dict with r = 4 and ρ = 2 over t.0 to t.3, until it has converged: its SVDs
                         are random ones in float32, and at the border between 48 parts and the rest the ratios are 2 % apart
"""

import os

import torch
from peft import LoraConfig
from peft.tuners.lora.config import EvaConfig
from peft.tuners.lora.eva import get_eva_state_dict
from peft.utils.incremental_pca import IncrementalPCA
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from fixture import HERE, attention_mask, inputs, save, setup

K = 4
NAMES = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense"]
LAYERS = [f"bert.encoder.layer.{block}.{name}" for block in range(2) for name in NAMES]


def load():
    model = AutoModelForSequenceClassification.from_pretrained(os.path.join(HERE, "bert-tiny"), attn_implementation="eager", dtype=torch.float32)
    return model.double().eval()


def batch(name):
    stored = load_file(os.path.join(HERE, "search-inputs.safetensors"))
    return {k.removeprefix(name + "."): t for k, t in stored.items() if k.startswith(name + ".")}


def mean_gradients(model, names):
    """The gradient of the mean loss over all examples of the batches, by each layer's weight."""
    weights = [model.get_submodule(name).weight for name in LAYERS]
    total, sums = 0, [torch.zeros_like(w) for w in weights]
    for name in names:
        b = batch(name)
        loss = model(**inputs(b), labels=b["labels"]).loss
        n = len(b["labels"])
        total += n
        sums = [s + n * g for s, g in zip(sums, torch.autograd.grad(loss, weights))]
    return [s / total for s in sums]


def gradient(first, other):
    sigma, worth = [], []
    for g, again in zip(first, other):
        u, s, vh = torch.linalg.svd(g, full_matrices=False)
        sigma.append(s[:K])
        worth.append(torch.stack([s[i] * (u[:, i] @ again @ vh[i]) for i in range(K)]))
    return {"gradient.sigma": torch.stack(sigma), "gradient.worth": torch.stack(worth)}


def gora(model, gradients, reference=4, least=2, most=16):
    weights = [model.get_submodule(name).weight.detach() for name in LAYERS]
    importance = torch.stack([(w * g).abs().mean() for w, g in zip(weights, gradients)])
    sizes = [sum(w.shape) for w in weights]
    budget = sum(size * reference for size in sizes)
    shares = importance / importance.sum()
    ranks = [min(max(round(budget * share.item()) // size, least), most) for share, size in zip(shares, sizes)]
    return {"gora.importance": importance, "gora.ranks": torch.tensor(ranks)}


def eva(model):
    names = [f"t.{n}" for n in range(4)]
    ratios = []
    for layer in LAYERS:
        pca = IncrementalPCA(n_components=8)
        for name in names:
            b, seen = batch(name), []
            hook = model.get_submodule(layer).register_forward_hook(lambda module, args, output: seen.append(args[0]))
            with torch.no_grad():
                model(**inputs(b))
            hook.remove()
            pca.partial_fit(seen[0][attention_mask(b).bool()])
        ratios.append(pca.explained_variance_ratio_)
    config = LoraConfig(r=4, lora_alpha=4, target_modules=NAMES, init_lora_weights="eva", eva_config=EvaConfig(rho=2.0))
    state = get_eva_state_dict(model.float(), [inputs(batch(name)) for name in names], config, show_progress_bar=False)
    return {"eva.ratio": torch.stack(ratios), "eva.ranks": torch.tensor([len(state[layer]) for layer in LAYERS])}


def main():
    setup()
    model = load()
    first, other = (mean_gradients(model, [f"{half}.{n}" for n in range(3)]) for half in "tv")
    tensors = {**gradient(first, other), **gora(model, first), **eva(model)}
    save(os.path.join(HERE, "expected-rules.safetensors"), tensors)
    for name, t in tensors.items():
        print(name, t)


if __name__ == "__main__":
    main()
