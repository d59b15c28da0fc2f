"""The search of make_search.py for decoders: one iteration in plain PyTorch on transformers' GPT-2 and LLaMA.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2   # after make_decoders.py
    python testdata/nn/make_decoder_search.py

W is A and B of query and value of every layer of gpt2-tiny or llama-tiny, all other weights frozen; names are PEFT's, those
of GPT-2 for modules "…attn.c_attn.query" and "…attn.c_attn.value". `a` is [layers, k] = [4, 4]: layer 0 query, layer 0
value, layer 1 query, layer 1 value. k = 4, lora_alpha = 8, no dropout, α = softmax(a). The loss is the mean cross entropy
over the wanted rows of a batch. Numbers are float64 runs of float32 inputs (of LLaMA with float32's cosine and sine).

search-gpt2.safetensors, search-llama.safetensors
  t.N.*, v.N.*      training and validation batches, N = 0 … 4 (as in make_decoders.py)
  start.W           W at the start;  moment1.W, moment2.W: AdamW's moments of W after 3 steps, for the look-ahead `adam`
  one iteration on t.0 and v.0 from start and a, the keys of search-softmax.safetensors:
    a, alpha [4, 4];  train_loss [1];  g.W;  LA.val_loss, LA.u_norm, LA.d, LA.implicit, LA.h and LA.fd.* for LA one of
    sgd-0.05 sgd-0.01 adam-0.05;  LA.w.W, LA.u.W for η = 0.05;  first-order.val_loss, first-order.h
  whole iterations, the keys of search-steps.safetensors: W by AdamW (lr 1e-3, weight decay 0.01), a by AdamW (lr 1e-2,
  weight decay 0), iteration N on t.N and v.N, for RUN one of softmax.sgd-0.05 softmax.adam-0.05
    RUN.train_loss, RUN.val_loss [5];  RUN.h [5, 4, 4];  RUN.a [4, 4], RUN.w.W: the last values
Every h agrees with the derivative of L_val(W − η g(W, a), a) taken straight through, and with central differences.
"""

import torch
from torch.func import functional_call

from decoder_fixture import batch, load, loss_of, wanted_logits
from fixture import noise, prefixed, save, setup
from make_search import ALPHA, FORMS, K, PRIOR_STEPS, check, dot, hypergradient

LOOK_AHEADS = [("sgd", 0.05), ("sgd", 0.01), ("adam", 0.05)]
ITERATIONS = 5
PREFIX = "base_model.model."
MODULES = {
    "gpt2": [f"transformer.h.{n}.attn.c_attn.{part}" for n in range(2) for part in ("query", "value")],
    "llama": [f"model.layers.{n}.self_attn.{part}" for n in range(2) for part in ("q_proj", "v_proj")],
}


class Selected(torch.nn.Module):
    """s·((x Aᵀ)∘α) Bᵀ (Eq. 2); A, B and α are given at each call by functional_call."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.A = torch.nn.Parameter(torch.empty(K, inputs))
        self.B = torch.nn.Parameter(torch.empty(outputs, K))
        self.alpha = torch.nn.Parameter(torch.empty(K))

    def forward(self, x):
        return ALPHA / K * ((x @ self.A.T) * self.alpha) @ self.B.T


class SelectedLinear(torch.nn.Module):
    """A frozen linear layer with its LoRA."""

    def __init__(self, base):
        super().__init__()
        self.base, self.own = base, Selected(base.in_features, base.out_features)

    def forward(self, x):
        return self.base(x) + self.own(x)


class SelectedAttention(torch.nn.Module):
    """GPT-2's frozen c_attn with a LoRA of query and one of value."""

    def __init__(self, base):
        super().__init__()
        width = base.weight.shape[0]
        self.base, self.query, self.value = base, Selected(width, width), Selected(width, width)

    def forward(self, x):
        return self.base(x) + torch.cat([self.query(x), torch.zeros_like(x), self.value(x)], -1)


class Problem:
    """L(W, a; batch), as make_search's functions take it."""

    def __init__(self, family):
        self.form, self.model = FORMS["softmax"][0], load(f"{family}-tiny", torch.float64)
        if family == "gpt2":
            self.sites = MODULES[family]
            for block in self.model.transformer.h:
                block.attn.c_attn = SelectedAttention(block.attn.c_attn)
        else:
            self.sites = [f"{name}.own" for name in MODULES[family]]
            for layer in self.model.model.layers:
                for name in ("q_proj", "v_proj"):
                    setattr(layer.self_attn, name, SelectedLinear(getattr(layer.self_attn, name)))
        self.model.double().requires_grad_(False)
        self.keys = {}  # PEFT's name: the parameter's
        for module, site in zip(MODULES[family], self.sites):
            for part in "AB":
                self.keys[f"{PREFIX}{module}.lora_{part}.weight"] = f"{site}.{part}"
        shapes = {k: p.shape for k, p in self.model.named_parameters()}
        self.W = {
            key: noise(shapes[name], 300 + n, 0.3 if name.endswith("A") else 0.2).double().requires_grad_()
            for n, (key, name) in enumerate(self.keys.items())
        }
        self.a = FORMS["softmax"][1].double().requires_grad_()

    def loss(self, W, a, b):
        params = {self.keys[key]: t for key, t in W.items()}
        params |= {f"{site}.alpha": alpha for site, alpha in zip(self.sites, self.form(a))}

        def model(**options):
            return functional_call(self.model, params, kwargs=options)

        return loss_of(wanted_logits(model, b), b["labels"])


def iteration(p, batches, prior):
    """The tensors of one iteration."""
    adam = (*prior, PRIOR_STEPS + 1)
    args = (p, p.W, p.a, batches["t"][0], batches["v"][0])
    out = {"a": p.a.detach(), "alpha": p.form(p.a).detach()}
    for kind, eta in LOOK_AHEADS:
        name = f"{kind}-{eta}"
        r = hypergradient(*args, kind, eta, adam)
        check(p, batches, kind, eta, adam, r["h"])
        if eta == 0.05:
            out |= prefixed(f"{name}.w", r["w"]) | prefixed(f"{name}.u", r["u"]) | prefixed("g", r["g"])
        out["train_loss"], out[f"{name}.val_loss"] = r["train_loss"][None], r["val_loss"][None]
        out[f"{name}.u_norm"] = dot(r["u"], r["u"]).sqrt()[None]
        for key in ("d", "implicit", "h"):
            out[f"{name}.{key}"] = r[key]
        fd = hypergradient(*args, kind, eta, adam, mode="fd")
        out[f"{name}.fd.epsilon"] = fd["epsilon"][None]
        for key in ("implicit", "h"):
            out[f"{name}.fd.{key}"] = fd[key]
        ratio = (r["implicit"].norm() / r["d"].norm()).item()
        fd_error = ((fd["implicit"] - r["implicit"]).norm() / r["implicit"].norm()).item()
        print(f"{name:10} ‖implicit‖/‖direct‖ {ratio:.3f}, fd differs by {fd_error:.1e}")
    first = hypergradient(*args, "sgd", 0.0, None, mode="first-order")
    out["first-order.val_loss"], out["first-order.h"] = first["val_loss"][None], first["h"]
    return out


def search(p, kind, eta, batches):
    """Whole iterations with PyTorch's own AdamW."""
    by_W = torch.optim.AdamW(p.W.values(), lr=1e-3, weight_decay=0.01)
    by_a = torch.optim.AdamW([p.a], lr=1e-2, weight_decay=0.0)
    rows = []
    for n, (t, v) in enumerate(zip(batches["t"], batches["v"])):
        moments = [
            {k: by_W.state[w][name] if n > 0 else torch.zeros_like(w) for k, w in p.W.items()} for name in ("exp_avg", "exp_avg_sq")
        ]
        r = hypergradient(p, p.W, p.a, t, v, kind, eta, (*moments, n + 1))
        p.a.grad = r["h"]
        for k, w in p.W.items():
            w.grad = r["g"][k]
        by_a.step()
        by_W.step()
        rows.append([r["train_loss"], r["val_loss"], r["h"]])
    train, val, h = map(torch.stack, zip(*rows))
    print(f"{kind}-{eta} train {train.tolist()} val {val.tolist()}")
    return {"train_loss": train, "val_loss": val, "h": h, "a": p.a.detach(), **prefixed("w", {k: w.detach() for k, w in p.W.items()})}


def main():
    setup()
    for m, family in enumerate(MODULES):
        p = Problem(family)
        batches = {
            side: [batch([4 + n, 9 - n, 2][::order], [5, 3 + n, 8 - n], 60, first + 100 * m + 10 * n) for n in range(ITERATIONS)]
            for side, order, first in (("t", 1, 3000), ("v", -1, 4000))
        }
        prior = (  # of the size that gradients have here
            {k: noise(w.shape, 5000 + n, 0.05) for n, (k, w) in enumerate(p.W.items())},
            {k: noise(w.shape, 6000 + n, 0.05) ** 2 for n, (k, w) in enumerate(p.W.items())},
        )
        tensors = prefixed("start", {k: w.detach().float() for k, w in p.W.items()})
        tensors |= prefixed("moment1", prior[0]) | prefixed("moment2", prior[1])
        for side, rows in batches.items():
            for n, b in enumerate(rows):
                tensors |= prefixed(f"{side}.{n}", b)
        print(family)
        tensors |= iteration(p, batches, [{k: x.double() for k, x in moment.items()} for moment in prior])
        for kind in ("sgd", "adam"):
            tensors |= prefixed(f"softmax.{kind}-0.05", search(Problem(family), kind, 0.05, batches))
        save(f"search-{family}.safetensors", tensors)


if __name__ == "__main__":
    main()
