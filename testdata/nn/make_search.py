"""The search of the method page, written a second time: plain PyTorch on transformers' BERT, for bert-tiny.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2   # after make_models.py
    python testdata/nn/make_search.py

W is every A and B of the adapter bert-tiny-lora and its head (classifier); it starts at the values in that folder, and
its names are those of the adapter's file. `a` is [layers, k] = [4, 4]: layer.0 query, layer.0 value, layer.1 query,
layer.1 value. k = 4, lora_alpha = 8, no dropout, the other weights frozen (the pooler too). Numbers are float64 runs of
float32 inputs; names ending in `.f32` are float32 runs of the same.

search-inputs.safetensors
  t.N.*, v.N.*      training and validation batches, N = 0 … 5 (ids, lengths, segments, labels; padded)
  moment1.W, moment2.W   AdamW's moments of W after 3 steps, for the look-ahead `adam`
search-FORM.safetensors: one iteration on t.0 and v.0, at the initial W; FORM is
  softmax           α = softmax(a), a made up
  softmax-uniform   α = softmax(a), a = 0, as a search starts
  softmax-scaled    α = k·softmax(a), the a of softmax
  none              α = a = 1/k, as a search starts
  sigmoid           α = sigmoid(a), a made up
and holds, with LA the look-ahead, one of sgd-0.05 sgd-0.01 adam-0.05 adam-0.01 (its kind and η):
  a, alpha [4, 4];  train_loss [1];  g.W = ∂L_tr/∂W
  LA.val_loss [1] = L_val(W', a);  LA.d, LA.implicit, LA.h [4, 4] with h = d + implicit
  LA.w.W = W', LA.u.W = ∂L_val(W', a)/∂W'  (for η = 0.05);  LA.u_norm [1]
  LA.fd.implicit, LA.fd.h [4, 4]; LA.fd.epsilon [1]: finite differences, ε = 0.01/‖D∘u‖ (D = 1 for sgd)
  first-order.val_loss [1], first-order.h [4, 4]: h = ∂L_val(W, a)/∂a
search-steps.safetensors: whole iterations; W by AdamW (lr 1e-3, weight decay 0.01), a by AdamW (lr 1e-2, weight decay
0), both with betas 0.9, 0.999 and ε 1e-8; iteration N uses t.N. Per RUN = FORM.LA[.unroll-2 or .first-order or .fd]:
  RUN.train_loss [iterations];  RUN.val_loss, RUN.h [updates of a, …];  RUN.a [4, 4], RUN.w.W: the last values
5 iterations with an update of a in each; with unroll-2, 6 iterations and an update in every second (validation batches
v.0, v.1, v.2), whose g is the one differentiated.
search-variants.safetensors: the implicit part of that one iteration, FORM softmax, taken in other ways; float64
  LA.at-look-ahead[.factor-1][.fd].implicit, LA.factor-1[.fd].implicit [4, 4], LA one of sgd-0.05, adam-0.05: at W' and
  not at W, -1·∂(g·u)/∂a and not -η·∂(g·(D∘u))/∂a
search-presets.safetensors: whole iterations as in search-steps, of the settings of the presets; float64
  softmax-scaled.sgd-0.05; softmax.sgd-0.05.alpha-first: g of W's step at the new a
  published.fd, published.exact, published.first-order: α = softmax(a), a = 1 at the start, W by Adam (lr 1e-3), a by
  Adam (lr 1e-2, betas 0.5, 0.999); one step of W's optimiser leads to W', where the implicit part is taken, by factor 1;
  then a is stepped, W and its optimiser are put back, and W is stepped with the gradient at the new a
  RUN.ranks [4] int64: of published, the entries with a/Σa ≥ 1/k; else those with α ≥ S/k

Look-ahead sgd: W' = W − η g. Look-ahead adam: W' = W − η m̂/(√v̂ + ε) with the moments after taking g in as step t
(4 here; one more than the optimiser's count in whole iterations), no weight decay. Its derivative holds v̂ constant:
∂W'/∂g = −η D, D = (1−β1)/(1−β1ᵗ)/(√v̂ + ε), so implicit = −η ∂(g·(D∘u))/∂a.
"""

import copy
import os

import torch
from safetensors.torch import load_file
from torch.autograd import grad
from torch.func import functional_call
from transformers import AutoModelForSequenceClassification

from fixture import HERE, batch, inputs, noise, prefixed, save, setup

K, ALPHA = 4, 8
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
PRIOR_STEPS = 3
FORMS = {  # name: (α of a, the initial a)
    "softmax": (lambda a: a.softmax(-1), noise([4, K], 71, 1.0)),
    "softmax-uniform": (lambda a: a.softmax(-1), torch.zeros(4, K)),
    "softmax-scaled": (lambda a: K * a.softmax(-1), noise([4, K], 71, 1.0)),
    "none": (lambda a: a, torch.full([4, K], 1 / K)),
    "sigmoid": (lambda a: a.sigmoid(), noise([4, K], 72, 1.0)),
}
LOOK_AHEADS = [("sgd", 0.05), ("sgd", 0.01), ("adam", 0.05), ("adam", 0.01)]


class SelectedLoRA(torch.nn.Module):
    """A frozen linear layer plus s·((x Aᵀ)∘α) Bᵀ (Eq. 2); A, B and α are given at each call by functional_call."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.A = torch.nn.Parameter(torch.empty(K, base.in_features))
        self.B = torch.nn.Parameter(torch.empty(base.out_features, K))
        self.alpha = torch.nn.Parameter(torch.empty(K))

    def forward(self, x):
        return self.base(x) + ALPHA / K * ((x @ self.A.T) * self.alpha) @ self.B.T


class Problem:
    """L(W, a; batch) in one precision. W is a dict under PEFT's names, a is [4, K]."""

    def __init__(self, form, dtype):
        self.form, self.dtype = FORMS[form][0], dtype
        self.model = AutoModelForSequenceClassification.from_pretrained(
            os.path.join(HERE, "bert-tiny"), attn_implementation="eager", dtype=torch.float32
        ).eval()
        self.sites = []
        for n, layer in enumerate(self.model.bert.encoder.layer):
            for name in ("query", "value"):
                setattr(layer.attention.self, name, SelectedLoRA(getattr(layer.attention.self, name)))
                self.sites.append(f"bert.encoder.layer.{n}.attention.self.{name}")
        self.model.to(dtype).requires_grad_(False)
        stored = load_file(os.path.join(HERE, "bert-tiny-lora", "adapter_model.safetensors"))
        self.W = {k: t.to(dtype).requires_grad_() for k, t in stored.items()}
        self.a = FORMS[form][1].to(dtype, copy=True).requires_grad_()

    def loss(self, W, a, b):
        own = {"lora_A.weight": "A", "lora_B.weight": "B"}
        params = {}
        for key, t in W.items():
            key = key.removeprefix("base_model.model.")
            for theirs, ours in own.items():
                key = key.replace(theirs, ours)
            params[key] = t
        for site, alpha in zip(self.sites, self.form(a)):
            params[f"{site}.alpha"] = alpha
        return functional_call(self.model, params, kwargs={**inputs(b), "labels": b["labels"]}).loss


def dot(x, y):
    return sum((x[k] * y[k]).sum() for k in x)


def derivatives(loss, W, a, **options):
    """∂loss/∂W as a dict, ∂loss/∂a."""
    *by_W, by_a = grad(loss, [*W.values(), a], **options)
    return dict(zip(W, by_W)), by_a


def leaf(tensors):
    return {k: t.detach().requires_grad_() for k, t in tensors.items()}


def moments_after(g, m, v, t):
    """m̂ and √v̂ + ε after the gradient g of step t."""
    m = {k: BETA1 * m[k] + (1 - BETA1) * g[k] for k in g}
    v = {k: BETA2 * v[k] + (1 - BETA2) * g[k] ** 2 for k in g}
    mhat = {k: m[k] / (1 - BETA1**t) for k in g}
    return mhat, {k: (v[k] / (1 - BETA2**t)).sqrt() + EPS for k in g}


def look_ahead(kind, eta, W, g, adam):
    """W' as a function of g (with its graph), and D = −∂W'/∂g / η."""
    if kind == "sgd":
        return {k: W[k] - eta * g[k] for k in W}, {k: torch.ones_like(W[k]) for k in W}
    m, v, t = adam
    mhat, scale = moments_after(g, m, v, t)
    scale = {k: x.detach() for k, x in scale.items()}
    D = {k: (1 - BETA1) / (1 - BETA1**t) / scale[k] for k in W}
    return {k: W[k] - eta * mhat[k] / scale[k] for k in W}, D


def hypergradient(p, W, a, t, v, kind, eta, adam, mode="exact", at="weights", factor=None):
    """One iteration's g and h with everything on the way. adam = (m, v, step) is used by that look-ahead only."""
    train_loss = p.loss(W, a, t)
    g, _ = derivatives(train_loss, W, a, create_graph=True)
    r = {"train_loss": train_loss.detach(), "g": {k: x.detach() for k, x in g.items()}}
    if mode == "first-order":
        val_loss = p.loss(W, a, v)
        return r | {"val_loss": val_loss.detach(), "h": derivatives(val_loss, W, a)[1]}
    w, D = look_ahead(kind, eta, W, g, adam)
    w = leaf(w)
    val_loss = p.loss(w, a, v)
    u, d = derivatives(val_loss, w, a)
    q = {k: D[k] * u[k] for k in u} if factor is None else u
    point = W if at == "weights" else w
    if mode == "exact":
        if at == "look-ahead":
            g, _ = derivatives(p.loss(w, a, t), w, a, create_graph=True)
        by_a = grad(dot(g, q), a)[0]
    else:
        r["epsilon"] = epsilon = 0.01 / dot(q, q).sqrt()
        shifted = lambda sign: leaf({k: point[k] + sign * epsilon * q[k] for k in W})
        plus, minus = (grad(p.loss(shifted(sign), a, t), a)[0] for sign in (1, -1))
        by_a = (plus - minus) / (2 * epsilon)
    implicit = -(eta if factor is None else factor) * by_a
    return r | {"val_loss": val_loss.detach(), "w": w, "u": u, "d": d, "implicit": implicit, "h": d + implicit}


def check(p, batches, kind, eta, adam, h):
    """h against the derivative of L_val(W − η g(W, a), a) taken straight through, and against central differences."""
    t, v = batches["t"][0], batches["v"][0]

    def objective(a):
        g, _ = derivatives(p.loss(p.W, a, t), p.W, a, create_graph=True)
        return p.loss(look_ahead(kind, eta, p.W, g, adam)[0], a, v)

    full = grad(objective(p.a), p.a)[0]
    assert (h - full).abs().max() < 1e-10 * full.abs().max(), (kind, eta, h, full)
    if kind == "adam":  # central differences would see v̂ move too
        return
    central, step = torch.empty_like(h), 1e-5
    for i in range(h.numel()):
        shift = torch.zeros_like(p.a).view(-1)
        shift[i] = step
        shift = shift.view_as(p.a)
        values = [objective((p.a + sign * shift).detach().requires_grad_()).item() for sign in (1, -1)]
        central.view(-1)[i] = (values[0] - values[1]) / (2 * step)
    assert (h - central).abs().max() < 1e-7 * h.abs().max(), (kind, eta, h, central)


def check_lora(b):
    """With α = 1 the layer is PEFT's."""
    stored = load_file(os.path.join(HERE, "expected-bert-tiny-lora.safetensors"))
    p = Problem("none", torch.float64)
    b = {key: stored[f"batch.{key}"] for key in b}
    assert (p.loss(p.W, torch.ones_like(p.a), b) - stored["loss.f64"]).abs() < 1e-12


def iteration(form, batches, prior, dtype):
    """The tensors of search-FORM in one precision."""
    p = Problem(form, dtype)
    m, v = ({k: x.to(dtype) for k, x in moment.items()} for moment in prior)
    adam = (m, v, PRIOR_STEPS + 1)
    args = (p, p.W, p.a, batches["t"][0], batches["v"][0])
    out = {"a": p.a.detach(), "alpha": p.form(p.a).detach()}
    for kind, eta in LOOK_AHEADS:
        name = f"{kind}-{eta}"
        r = hypergradient(*args, kind, eta, adam)
        if dtype == torch.float64:
            check(p, batches, kind, eta, adam, r["h"])
            if eta == 0.05:
                out |= prefixed(f"{name}.w", r["w"]) | prefixed(f"{name}.u", r["u"]) | prefixed("g", r["g"])
        out["train_loss"] = r["train_loss"][None]
        out[f"{name}.val_loss"] = r["val_loss"][None]
        out[f"{name}.u_norm"] = dot(r["u"], r["u"]).sqrt()[None]
        for key in ("d", "implicit", "h"):
            out[f"{name}.{key}"] = r[key]
        fd = hypergradient(*args, kind, eta, adam, mode="fd")
        out[f"{name}.fd.epsilon"] = fd["epsilon"][None]
        for key in ("implicit", "h"):
            out[f"{name}.fd.{key}"] = fd[key]
        if dtype == torch.float64:
            ratio = (r["implicit"].norm() / r["d"].norm()).item()
            fd_error = ((fd["implicit"] - r["implicit"]).norm() / r["implicit"].norm()).item()
            print(f"{form:16} {name:10} ‖implicit‖/‖direct‖ {ratio:.3f}, fd differs by {fd_error:.1e}")
    first = hypergradient(*args, "sgd", 0.0, None, mode="first-order")
    out["first-order.val_loss"], out["first-order.h"] = first["val_loss"][None], first["h"]
    return out


def variants(batches, prior):
    """The tensors of search-variants."""
    p = Problem("softmax", torch.float64)
    m, v = ({k: x.double() for k, x in moment.items()} for moment in prior)
    args = (p, p.W, p.a, batches["t"][0], batches["v"][0])
    out = {}
    for kind, eta in (("sgd", 0.05), ("adam", 0.05)):
        for at, factor in (("look-ahead", None), ("weights", 1.0), ("look-ahead", 1.0)):
            name = f"{kind}-{eta}" + (".at-look-ahead" if at == "look-ahead" else "") + (".factor-1" if factor else "")
            exact, fd = (
                hypergradient(*args, kind, eta, (m, v, PRIOR_STEPS + 1), mode, at, factor)["implicit"] for mode in ("exact", "fd")
            )
            out[f"{name}.implicit"], out[f"{name}.fd.implicit"] = exact, fd
            print(f"{name:36} ‖implicit‖ {exact.norm().item():.3g}, fd differs by {((fd - exact).norm() / exact.norm()).item():.1e}")
    return out


def search(form, kind, eta, batches, dtype, mode="exact", unroll=1, iterations=5, alpha_first=False):
    """Whole iterations with PyTorch's own AdamW."""
    p = Problem(form, dtype)
    by_W = torch.optim.AdamW(p.W.values(), lr=1e-3, weight_decay=0.01)
    by_a = torch.optim.AdamW([p.a], lr=1e-2, weight_decay=0.0)
    zeros = {k: torch.zeros_like(t) for k, t in p.W.items()}
    train, val, h = [], [], []
    for n in range(iterations):
        t = batches["t"][n]
        if (n + 1) % unroll == 0:
            state = {k: by_W.state.get(t) for k, t in p.W.items()}
            m = {k: s["exp_avg"] if s else zeros[k] for k, s in state.items()}
            v = {k: s["exp_avg_sq"] if s else zeros[k] for k, s in state.items()}
            validation = batches["v"][len(val)]
            r = hypergradient(p, p.W, p.a, t, validation, kind, eta, (m, v, n + 1), mode)
            g, p.a.grad = r["g"], r["h"]
            val.append(r["val_loss"])
            h.append(r["h"])
            train.append(r["train_loss"])
        else:
            loss = p.loss(p.W, p.a, t)
            g, _ = derivatives(loss, p.W, p.a)
            train.append(loss.detach())
        if (n + 1) % unroll == 0:
            by_a.step()
        if alpha_first:
            loss = p.loss(p.W, p.a, t)
            g, _ = derivatives(loss, p.W, p.a)
            train[-1] = loss.detach()
        for k, w in p.W.items():
            w.grad = g[k]
        by_W.step()
    out = {"train_loss": torch.stack(train), "val_loss": torch.stack(val), "h": torch.stack(h), "a": p.a.detach()}
    return out, {k: t.detach() for k, t in p.W.items()}


def whole_searches(batches):
    tensors = {}
    for form, kind, eta, options in (
        ("softmax-uniform", "sgd", 0.05, {}),
        ("softmax", "sgd", 0.05, {}),
        ("softmax", "sgd", 0.01, {}),
        ("softmax", "adam", 0.01, {}),
        ("softmax", "sgd", 0.05, {"mode": "fd"}),
        ("softmax", "sgd", 0.05, {"mode": "first-order"}),
        ("softmax", "sgd", 0.05, {"unroll": 2, "iterations": 6}),
        ("none", "sgd", 0.05, {}),
        ("sigmoid", "sgd", 0.05, {}),
    ):
        suffix = ".unroll-2" if "unroll" in options else f".{options['mode']}" if options else ""
        run = f"{form}.{kind}-{eta}{suffix}"
        double, W = search(form, kind, eta, batches, torch.float64, **options)
        single, W32 = search(form, kind, eta, batches, torch.float32, **options)
        tensors |= prefixed(run, double) | prefixed(f"{run}.w", W)
        tensors |= {f"{run}.{k}.f32": t for k, t in single.items()}
        far = max((W[k] - W32[k].double()).abs().max().item() for k in W)
        print(f"{run:32} train {double['train_loss'].tolist()[-1]:.4f} val {double['val_loss'].tolist()[-1]:.4f}, "
              f"float32 off by {(double['a'] - single['a']).abs().max():.1e} in a, {far:.1e} in W")
    return tensors


def published(mode, batches, iterations=5):
    """Whole iterations as the published code takes them: Betty's darts, unroll_steps 1, roll_back.

    The authors' copy of Betty (ruz048/AutoLoRA, commit 314c6f4), run on this problem, ends within 5e-15 in a, 1e-16 in W.
    """
    p = Problem("softmax", torch.float64)
    with torch.no_grad():
        p.a.fill_(1)
    by_W = torch.optim.Adam(p.W.values(), lr=1e-3)
    by_a = torch.optim.Adam([p.a], lr=1e-2, betas=(0.5, 0.999))

    def step_W(t):
        loss = p.loss(p.W, p.a, t)
        for w, g in zip(p.W.values(), grad(loss, list(p.W.values()))):
            w.grad = g
        by_W.step()
        return loss.detach()

    def move_W(u, size):
        with torch.no_grad():
            for k in u:
                p.W[k].add_(u[k], alpha=size)

    def implicit(u, t):
        if mode == "first-order":
            return 0
        if mode == "exact":
            g, _ = derivatives(p.loss(p.W, p.a, t), p.W, p.a, create_graph=True)
            return grad(dot(g, u), p.a)[0]
        epsilon = 0.01 / dot(u, u).sqrt().item()
        move_W(u, epsilon)
        plus = grad(p.loss(p.W, p.a, t), p.a)[0]
        move_W(u, -2 * epsilon)
        minus = grad(p.loss(p.W, p.a, t), p.a)[0]
        move_W(u, epsilon)
        return (plus - minus) / (2 * epsilon)

    train, val, h = [], [], []
    for t, v in zip(batches["t"][:iterations], batches["v"]):
        weights, optimizer = {k: w.detach().clone() for k, w in p.W.items()}, copy.deepcopy(by_W.state_dict())
        if mode != "first-order":  # which is d at W
            step_W(t)
        val_loss = p.loss(p.W, p.a, v)
        u, d = derivatives(val_loss, p.W, p.a)
        p.a.grad = d - 1.0 * implicit(u, t)
        with torch.no_grad():
            for k, w in p.W.items():
                w.copy_(weights[k])
        by_W.load_state_dict(optimizer)
        by_a.step()
        train.append(step_W(t))
        val.append(val_loss.detach())
        h.append(p.a.grad.clone())
    out = {"train_loss": torch.stack(train), "val_loss": torch.stack(val), "h": torch.stack(h), "a": p.a.detach()}
    out["ranks"] = torch.tensor([int(sum(a / a.sum() >= 1 / K)) for a in p.a])
    return out, {k: t.detach() for k, t in p.W.items()}


def preset_searches(batches):
    """The tensors of search-presets."""
    runs = {f"published.{mode}": published(mode, batches) for mode in ("fd", "exact", "first-order")}
    for name, form, scale, options in (
        ("softmax-scaled.sgd-0.05", "softmax-scaled", K, {}),
        ("softmax.sgd-0.05.alpha-first", "softmax", 1, {"alpha_first": True}),
    ):
        out, W = search(form, "sgd", 0.05, batches, torch.float64, **options)
        out["ranks"] = (FORMS[form][0](out["a"]) >= scale / K).sum(-1)
        runs[name] = out, W
    tensors = {}
    for name, (out, W) in runs.items():
        tensors |= prefixed(name, out) | prefixed(f"{name}.w", W)
        print(f"{name:32} train {out['train_loss'].tolist()[-1]:.4f} val {out['val_loss'].tolist()[-1]:.4f} ranks {out['ranks'].tolist()}")
    return tensors


def main():
    setup()
    p = Problem("softmax", torch.float32)
    lengths = [[12, 3, 20, 7], [5, 16, 9, 9], [24, 4, 11, 6], [8, 14, 3, 18], [10, 10, 5, 22], [6, 21, 13, 4]]
    batches = {side: [
        batch(row[::order], [n % 2, 1, 0, 0][::order], p.model.config, [n % 3, 0, 2, 1][::order], seed)
        for n, (row, seed) in enumerate(zip(lengths, range(first, first + 600, 100)))
    ] for side, order, first in (("t", 1, 3000), ("v", -1, 4000))}
    check_lora(batches["t"][0])
    prior = (  # of the size that gradients have here
        {k: noise(t.shape, 5000 + n, 0.05) for n, (k, t) in enumerate(p.W.items())},
        {k: noise(t.shape, 6000 + n, 0.05) ** 2 for n, (k, t) in enumerate(p.W.items())},
    )
    given = prefixed("moment1", prior[0]) | prefixed("moment2", prior[1])
    for side, rows in batches.items():
        for n, b in enumerate(rows):
            given |= prefixed(f"{side}.{n}", b)
    save("search-inputs.safetensors", given)
    for form in FORMS:
        single = iteration(form, batches, prior, torch.float32)
        double = iteration(form, batches, prior, torch.float64)
        save(f"search-{form}.safetensors", double | {f"{k}.f32": t for k, t in single.items()})
    save("search-steps.safetensors", whole_searches(batches))
    save("search-variants.safetensors", variants(batches, prior))
    save("search-presets.safetensors", preset_searches(batches))


if __name__ == "__main__":
    main()
