"""What the scripts of the decoders share: weights, batches, loading, and LoRA on the query and value of GPT-2's c_attn."""

import copy
import json
import os
import types

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from fixture import HERE, noise, places, save

SMOOTHING = 0.1  # of labels


def fill(model, seed, bound=0.35):
    """Overwrites every parameter; the weights of norms stay around 1 so that no activation collapses."""
    with torch.no_grad():
        for n, (name, p) in enumerate(model.named_parameters()):
            p.copy_(noise(p.shape, seed + n, bound))
            if p.dim() == 1 and name.endswith("weight") and not type(model).__name__.startswith("Gemma"):  # it adds 1
                p.add_(1)


def token_ids(count, vocab, seed):
    """Made-up token ids from 2 on: 0 pads, 1 ends a text."""
    return 2 + ((noise((count,), seed).double() + 1) / 2 * (vocab - 2)).long().clamp(max=vocab - 3)


def batch(contexts, targets, vocab, seed):
    """A padded batch of texts, each a context and a target of so many tokens, the target ending in 1.

    A text's last token is no input. `want` are the rows of the packed batch that predict a token of a target, `want_per`
    how many of them belong to each text, `labels` those tokens.
    """
    lengths = [c + t - 1 for c, t in zip(contexts, targets)]
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    want, labels, first = [], [], 0
    for row, (context, length) in enumerate(zip(contexts, lengths)):
        text = token_ids(length + 1, vocab, seed + row)
        text[-1] = 1
        ids[row, :length] = text[:-1]
        want += range(first + context - 1, first + length)
        labels += text[context:].tolist()
        first += length
    return {
        "ids": ids, "lengths": torch.tensor(lengths), "segments": torch.zeros_like(ids),
        "want": torch.tensor(want), "want_per": torch.tensor(targets), "labels": torch.tensor(labels),
    }


def wanted_logits(model, b):
    """The logits [M, V] of the wanted rows, computed on the padded batch."""
    mask = (torch.arange(b["ids"].shape[1]) < b["lengths"][:, None]).long()
    return model(input_ids=b["ids"], attention_mask=mask).logits[places(b)]


def loss_of(logits, labels, smoothing=0.0):
    """The mean over the wanted rows; smoothed labels are (1-s)·one-hot + s/V."""
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    logp = logits.log_softmax(-1)
    theirs = (1 - smoothing) * -logp.gather(1, labels[:, None])[:, 0] + smoothing * -logp.mean(-1)  # of microsoft/LoRA
    assert (loss - theirs.mean()).abs() < 1e-5
    return loss


def write_folder(name, model, config_keys, tensors=None):
    """config.json with `config_keys` in place of what transformers writes for them (None: the key is left out), and the
    weights, a tied head left out."""
    config = copy.deepcopy(model.config)
    config.architectures, config.dtype = [type(model).__name__], torch.float32
    stored = json.loads(config.to_json_string()) | config_keys
    stored = {k: v for k, v in stored.items() if k not in config_keys or v is not None}
    if tensors is None:
        tied = model.config.tie_word_embeddings
        tensors = {k: t for k, t in model.state_dict().items() if not (tied and k == "lm_head.weight")}
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    with open(os.path.join(HERE, name, "config.json"), "w") as f:
        json.dump(stored, f, indent=2, sort_keys=True)
        f.write("\n")
    save(f"{name}/model.safetensors", tensors)


softmax = F.softmax


def same_type_softmax(x, dim=None, dtype=None, **options):
    """transformers' eager attention takes the softmax in float32 also where all else is float64: not here."""
    return softmax(x, dim, dtype=None if x.dtype == torch.float64 else dtype, **options)


def same_type_norm(self, x):
    """The like of its RMS norms."""
    if hasattr(self, "eps"):  # Gemma's
        return self._norm(x) * (1 + self.weight)
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


dynamic = ROPE_INIT_FUNCTIONS["dynamic"]


def dynamic_of_number(config, device=None, seq_len=None, **options):
    """The base of dynamic rotary embeddings is float32 where the length is a tensor: here it is a Python number, as of all others."""
    return dynamic(config, device, seq_len=None if seq_len is None else int(seq_len), **options)


def load(name, dtype):
    """The folder through transformers, so that every fixture is proved to be a real checkpoint."""
    folder = os.path.join(HERE, name)
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    unknown = {k for k in info["unexpected_keys"] if not k.endswith(".attn.masked_bias")}  # of old releases
    assert not info["mismatched_keys"] and not info["missing_keys"] and not unknown, info
    return in_type(model, dtype)


def in_type(model, dtype):
    """The model for evaluation, with all of its arithmetic in dtype where that is float64."""
    F.softmax, ROPE_INIT_FUNCTIONS["dynamic"] = same_type_softmax, dynamic_of_number
    model = model.eval().to(dtype)
    for module in model.modules():
        if dtype == torch.float64 and type(module).__name__.endswith("RMSNorm"):
            module.forward = types.MethodType(same_type_norm, module)
    return model


class PartsLoRA(torch.nn.Module):
    """GPT-2's c_attn with a LoRA of its own for each of query, key and value that has a rank."""

    def __init__(self, base, ranks, alpha):
        super().__init__()
        self.base, self.alpha, self.ranks = base, alpha, {part: r for part, r in ranks.items() if r > 0}
        self.width = base.weight.shape[0]
        for part, r in self.ranks.items():
            setattr(self, part, torch.nn.ModuleDict({
                "lora_A": torch.nn.Linear(self.width, r, bias=False), "lora_B": torch.nn.Linear(r, self.width, bias=False),
            }))

    def forward(self, x):
        parts = []
        for part in ("query", "key", "value"):
            if part in self.ranks:
                factors = getattr(self, part)
                parts.append(self.alpha / self.ranks[part] * factors["lora_B"](factors["lora_A"](x)))
            else:
                parts.append(torch.zeros_like(x))
        return self.base(x) + torch.cat(parts, -1)

    def folded(self):
        """PEFT's A [Σr, C] and B [3C, Σr] for the whole of c_attn, with scaling 1."""
        places = [("query", "key", "value").index(part) for part in self.ranks]
        a = torch.cat([getattr(self, part)["lora_A"].weight for part in self.ranks])
        b, column = torch.zeros(3 * self.width, len(a)), 0
        for place, (part, r) in zip(places, self.ranks.items()):
            rows = slice(place * self.width, (place + 1) * self.width)
            b[rows, column : column + r] = self.alpha / r * getattr(self, part)["lora_B"].weight
            column += r
        return a, b


def with_parts(model, ranks, alpha):
    """Freezes GPT-2 and gives it PartsLoRA at ranks, a dict of parts per layer. Returns the factors under PEFT's names."""
    model.requires_grad_(False)
    for block, parts in zip(model.transformer.h, ranks):
        if any(parts.values()):
            block.attn.c_attn = PartsLoRA(block.attn.c_attn, parts, alpha)
    return {f"base_model.model.{n}": p for n, p in model.named_parameters() if p.requires_grad}
