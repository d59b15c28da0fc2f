#!/usr/bin/env python3
"""Proves and times the fused operators of torchbind/internal/shim/fused.h against PyTorch.

    python scripts/check_kernels.py            proves them: every line says ok, or the exit status is 1
    python scripts/check_kernels.py --bench    times them as well

Needs torch 2.11, numpy, ninja and g++. It compiles fused_*.cc of that folder with a small
binding into a temporary folder (--build DIR keeps it for the next call).
ATEN_CPU_CAPABILITY=default or avx2 proves the code of a lesser CPU.
"""
import argparse
import glob
import math
import os
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "torchbind", "internal", "shim")

BINDING = r"""
#include <torch/extension.h>

#include "fused.h"

using at::Tensor;

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  const auto t = [](const std::optional<Tensor> &x) { return x.value_or(Tensor()); };
  m.def("frozen_linear", [t](Tensor x, Tensor w, std::optional<Tensor> p, std::optional<Tensor> pt, std::optional<Tensor> b) {
    return tb::frozen_linear(x, w, {t(p), t(pt)}, t(b));
  });
  m.def("pack_frozen", [](Tensor w) { return tb::pack_frozen(w); });
  m.def("cpu_multiplies_bfloat16", tb::cpu_multiplies_bfloat16);
  const auto attention = [&m, t](const char *name, auto f) {
    const auto call = [t, f](Tensor q, std::optional<Tensor> kv, Tensor cu_q, Tensor cu_k, int64_t heads, double scale, double p, uint64_t seed,
                             int64_t kv_heads, std::optional<Tensor> visible, int64_t window) {
      return f(q, t(kv), cu_q, cu_k, tb::AttentionArgs{heads, kv_heads > 0 ? kv_heads : heads, scale, p, seed, t(visible), window});
    };
    m.def(name, call, py::arg("q"), py::arg("kv"), py::arg("cu_q"), py::arg("cu_k"), py::arg("heads"), py::arg("scale"), py::arg("p"),
          py::arg("seed"), py::arg("kv_heads") = 0, py::arg("visible") = py::none(), py::arg("window") = 0);
  };
  attention("attention", tb::packed_attention);
  attention("attention_composed", tb::packed_attention_composed);
  m.def("attention_plan", [t](Tensor cu_q, std::optional<Tensor> cu_k, std::optional<Tensor> visible, int64_t window, int64_t rows, int64_t tq,
                              int64_t tk, Tensor like) {
    const auto p = tb::attention_plan(cu_q, t(cu_k), t(visible), window, rows, tq, tk, like.options());
    return std::vector<Tensor>{p.queries, p.keys, p.places, p.mask};
  });
  m.def("planned_attention", [t](Tensor q, std::optional<Tensor> kv, std::vector<std::optional<Tensor>> plan, int64_t heads, int64_t kv_heads,
                                 double scale, double p, uint64_t seed, bool twice) {
    return tb::planned_attention(q, t(kv), {t(plan[0]), t(plan[1]), t(plan[2]), t(plan[3])}, {heads, kv_heads, scale, p, seed}, twice);
  });
  const auto norm = [t](auto f) {
    return [t, f](Tensor x, std::optional<Tensor> residual, Tensor w, Tensor b, double eps, double p, uint64_t seed) {
      return f(x, t(residual), w, b, eps, p, seed);
    };
  };
  m.def("norm", norm(tb::add_dropout_layer_norm));
  m.def("norm_composed", norm(tb::add_dropout_layer_norm_composed));
  m.def("rms_norm", tb::rms_norm);
  m.def("rms_norm_composed", tb::rms_norm_composed);
  m.def("add_dropout", tb::add_dropout);
  m.def("gelu", tb::gelu);
  m.def("swiglu", tb::swiglu);
  m.def("swiglu_composed", tb::swiglu_composed);
  m.def("rotary", tb::rotary);
  m.def("rotary_composed", tb::rotary_composed);
  m.def("cross_entropy", tb::cross_entropy);
  m.def("cross_entropy_composed", tb::cross_entropy_composed);
  m.def("dropout", tb::dropout);
  m.def("dropout_composed", tb::dropout_composed);
  m.def("dropout_mask", tb::dropout_mask);
}
"""


def build(folder):
    from torch.utils.cpp_extension import load

    binding = os.path.join(folder, "binding.cc")
    if not os.path.exists(binding) or open(binding).read() != BINDING:
        with open(binding, "w") as f:
            f.write(BINDING)
    sources = sorted(glob.glob(os.path.join(SHIM, "fused_*.cc"))) + [binding]
    return load(
        name="tb_fused",
        sources=sources,
        extra_include_paths=[SHIM],
        extra_cflags=["-O2", "-std=c++17", "-fopenmp"] + os.environ.get("CHECK_CFLAGS", "").split(),
        extra_ldflags=["-fopenmp"] + os.environ.get("CHECK_LDFLAGS", "").split(),
        build_directory=folder,
        verbose=bool(os.environ.get("CHECK_VERBOSE")),
    )


failures = 0


def report(name, ok, note=""):
    global failures
    failures += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {name} {note}", flush=True)


def expect(name, f):
    """f returns (passed, note); an exception is a failure too."""
    try:
        ok, note = f()
    except Exception as e:  # a failed check must not hide the others
        ok, note = False, f"{type(e).__name__}: {str(e)[:300]}"
    report(name, ok, note)


def expect_error(name, want, f):
    try:
        f()
    except RuntimeError as e:
        report(name, want in str(e), str(e).split("\n")[0][:160])
        return
    report(name, False, "no error")


def cu(lengths):
    return torch.tensor([0] + lengths).cumsum(0).to(torch.int32)


def random(*shape, dtype=torch.float64, grad=True, scale=1.0):
    return (torch.randn(*shape, dtype=torch.float64) * scale).to(dtype).requires_grad_(grad)


def three_orders(f, inputs, seed):
    """f's value, its gradients, and the gradients of a random function of those."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    y = f(*inputs)
    g = torch.Generator().manual_seed(seed)
    weigh = lambda x: torch.randn(x.shape, generator=g).to(x.dtype)
    dy = weigh(y).requires_grad_()
    first = torch.autograd.grad(y, inputs, dy, create_graph=True)
    second = torch.autograd.grad(first, inputs + [dy], [weigh(x) for x in first], allow_unused=True)
    return [y.detach(), *(x.detach() for x in first), *(torch.zeros(()) if x is None else x for x in second)]


def difference(got, want):
    """The largest difference of two lists of tensors, each relative to the largest element of its pair."""
    worst = 0.0
    for a, b in zip(got, want, strict=True):
        a, b = a.double(), b.double()
        if a.shape != b.shape:
            return math.inf
        if a.numel() == 0:
            continue
        d = ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()
        worst = max(worst, d) if d == d else math.inf
    return worst


def agree(name, fused, composed, inputs, tolerance):
    """Compares in float32 or bfloat16 with the composed form on the same numbers in float64."""

    def run():
        want = three_orders(composed, [x.double() for x in inputs], 7)
        theirs = difference(three_orders(composed, inputs, 7), want)
        ours = difference(three_orders(fused, inputs, 7), want)
        return ours <= tolerance, f"fused {ours:.1e}, composed {theirs:.1e} of the largest element"

    expect(name, run)


# Rounding of a few hundred float32 sums; bfloat16 has 8 bits.
FLOAT32, BFLOAT16 = 5e-6, 2e-2


def plain_attention(k):
    """Attention as a loop over sequences and heads."""

    def attend(q, kv, cu_q, cu_k, heads, scale, p, seed, kv_heads=0, visible=None, window=0):
        kv_heads = kv_heads or heads
        d = q.shape[1] // (heads if kv is not None else heads + 2 * kv_heads)
        keys = q[:, heads * d :] if kv is None else kv
        mask = k.dropout_mask(heads, q.shape[0], int(cu_k.diff().max()), p, seed, q) if p else None
        out = []
        for at, to, first, last in zip(cu_q[:-1], cu_q[1:], cu_k[:-1], cu_k[1:]):
            n = int(last - first)
            to_see = visible[at:to, None] if visible is not None else torch.full((to - at, 1), n)
            place = torch.arange(n)
            seen = (place < to_see) & ((place >= to_see - window) if window else True)
            columns = []
            for h in range(heads):
                g = h // (heads // kv_heads)
                query, key = q[at:to, h * d : (h + 1) * d], keys[first:last, g * d : (g + 1) * d]
                value = keys[first:last, (kv_heads + g) * d : (kv_heads + g + 1) * d]
                probability = (scale * query @ key.T).masked_fill(~seen, -math.inf).softmax(1)
                if p:
                    probability = probability * mask[h, at:to, :n] / (1 - p)
                columns.append(probability @ value)
            out.append(torch.cat(columns, 1))
        return torch.cat(out)

    return attend


def causal(lengths, first=0):
    """How many keys each row sees whose sequence has first keys before it."""
    return torch.cat([torch.arange(n) + 1 + first for n in lengths])


# Name, lengths of queries, of keys (None: the same), heads, head size, dropout, and other arguments.
ATTENTION = [
    ("one token", [1], [1], 1, 4, 0.0, {}),
    ("unequal lengths", [3, 1, 5], None, 2, 8, 0.0, {}),
    ("dropout", [3, 1, 5], None, 2, 8, 0.3, {}),
    ("odd head size", [4, 2], None, 3, 5, 0.2, {}),
    ("more than one block", [40], None, 1, 3, 0.2, {}),
    ("wanted rows", [1, 0, 2], [3, 2, 4], 2, 4, 0.25, {}),
    ("empty sequence", [2, 0, 3], None, 2, 4, 0.0, {}),
    ("causal", [3, 1, 5], None, 2, 8, 0.0, {"visible": causal([3, 1, 5])}),
    ("causal, groups", [4, 1, 3], None, 4, 5, 0.2, {"visible": causal([4, 1, 3]), "kv_heads": 2}),
    ("one head of keys, more than one block", [23], None, 3, 3, 0.2, {"visible": causal([23]).int(), "kv_heads": 1}),
    ("groups of wanted rows", [1, 0, 2], [3, 2, 4], 6, 3, 0.25, {"visible": torch.tensor([2, 1, 4]), "kv_heads": 2}),
    ("any visibility", [5], None, 2, 4, 0.0, {"visible": torch.tensor([5, 1, 3, 2, 4])}),
    ("window 1", [4, 1], None, 2, 4, 0.0, {"visible": causal([4, 1]), "window": 1}),
    ("window 3", [6, 2], None, 2, 3, 0.2, {"visible": causal([6, 2]), "window": 3}),
    ("window without visibility", [5, 2], None, 2, 3, 0.2, {"window": 3}),
    ("window, more than one block", [70], None, 1, 1, 0.2, {"visible": causal([70]), "window": 9}),
    ("window larger than the sequence", [4, 1], None, 2, 4, 0.0, {"visible": causal([4, 1]), "window": 9}),
]


def check_attention(k):
    for name, lq, lk, heads, d, p, more in ATTENTION:
        m, kv_heads = sum(lq), more.get("kv_heads", heads)
        if lk is None or lk == lq:
            inputs = [random(m, (heads + 2 * kv_heads) * d)]
            call = lambda f: lambda qkv: f(qkv, None, cu(lq), cu(lq), heads, d**-0.5, p, 11, **more)
        else:
            inputs = [random(m, heads * d), random(sum(lk), 2 * kv_heads * d)]
            call = lambda f: lambda q, kv: f(q, kv, cu(lq), cu(lk).long(), heads, d**-0.5, p, 11, **more)
        expect(f"attention, {name}: gradcheck", lambda: (gradcheck(call(k.attention), inputs), ""))
        expect(f"attention, {name}: gradgradcheck", lambda: (gradgradcheck(call(k.attention), inputs), ""))
        agree(f"attention, {name}: float64 against composed", call(k.attention), call(k.attention_composed), inputs, 1e-12)
        agree(f"attention, {name}: composed against a loop", call(k.attention_composed), call(plain_attention(k)), inputs, 1e-12)
    for name, kv_heads, window in (("causal", 4, 0), ("causal, groups", 2, 0), ("causal, one head of keys", 1, 0), ("window 20", 2, 20)):
        lengths = [13, 150, 1, 64]
        more = {"kv_heads": kv_heads, "visible": causal(lengths), "window": window}
        for dtype, tolerance in ((torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
            for d, p in ((64, 0.0), (40, 0.1)):
                qkv = random(sum(lengths), (4 + 2 * kv_heads) * d, dtype=dtype)
                call = lambda f: lambda x: f(x, None, cu(lengths), cu(lengths), 4, d**-0.5, p, 5, **more)
                agree(f"attention, {name}, D={d}, p={p}, {dtype}", call(k.attention), call(k.attention_composed), [qkv], tolerance)
    y = k.attention(torch.zeros(0, 8), torch.zeros(5, 8), cu([0, 0]), cu([2, 3]), 2, 1.0, 0.0, 0, kv_heads=1, visible=torch.zeros(0).long())
    report("attention, no queries", y.shape == (0, 8))
    lengths = [13, 53, 1, 128, 7]
    for dtype, tolerance in ((torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
        for d, p in ((32, 0.0), (32, 0.1), (64, 0.1), (40, 0.0)):
            qkv = random(sum(lengths), 3 * 4 * d, dtype=dtype)
            call = lambda f: lambda x: f(x, None, cu(lengths), cu(lengths), 4, d**-0.5, p, 5)
            agree(f"attention, D={d}, p={p}, {dtype}", call(k.attention), call(k.attention_composed), [qkv], tolerance)
    q, kv = random(2, 64, dtype=torch.float32), random(512 + 300, 128, dtype=torch.float32)
    call = lambda f: lambda q, kv: f(q, kv, cu([1, 1]), cu([512, 300]), 2, 0.2, 0.1, 5)
    agree("attention, 512 keys", call(k.attention), call(k.attention_composed), [q, kv], FLOAT32)

    x = random(6, 24, dtype=torch.float32)
    y = k.attention(x.detach().repeat(1, 2)[:, :24], None, cu([6]), cu([6]), 2, 0.5, 0.0, 0)
    report("attention, rows with a stride", torch.equal(y, k.attention(x.detach(), None, cu([6]), cu([6]), 2, 0.5, 0.0, 0)))
    bad = x.detach().clone()
    bad[2, 0] = math.nan
    y = k.attention(bad, None, cu([6]), cu([6]), 2, 0.5, 0.3, 0)
    report("attention, NaN in one query", y.isnan().any(1).tolist() == [False, False, True, False, False, False])
    bad = x.detach().clone()
    bad[2, 8] = math.nan
    y = k.attention(bad, None, cu([6]), cu([6]), 2, 0.5, 0.0, 0)
    report("attention, NaN in one key", y.isnan()[:, :4].all().item() and not y.isnan()[:, 4:].any().item())
    big = x.detach() * 1e4
    y = k.attention(big, None, cu([6]), cu([6]), 2, 1.0, 0.0, 0)
    report("attention, huge scores stay finite", y.isfinite().all().item())
    z = k.attention(x, None, cu([6]), cu([6]), 2, 0.5, 1.0, 0)
    report("attention, dropout 1 gives 0", z.abs().max().item() == 0)

    def third():
        x = random(4, 12)
        y = k.attention(x, None, cu([4]), cu([4]), 1, 0.5, 0.0, 0)
        (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("attention, third derivative", "fused attention has derivatives up to second order", third)

    def partly():
        q, kv = random(3, 4), random(5, 8)
        f = lambda: k.attention(q, kv, cu([3]), cu([5]), 1, 0.5, 0.0, 0)
        f0 = lambda: k.attention_composed(q, kv, cu([3]), cu([5]), 1, 0.5, 0.0, 0)
        out = []
        for g in (f, f0):
            (dq,) = torch.autograd.grad(g().square().sum(), q, create_graph=True)
            (dkv,) = torch.autograd.grad(g().square().sum(), kv, create_graph=True)
            out.append([*torch.autograd.grad(dq.square().sum(), [q, kv]), *torch.autograd.grad(dkv.square().sum(), [q, kv])])
        d = difference(*out)
        return d < 1e-12, f"{d:.1e}"

    expect("attention, gradients of q alone and of kv alone", partly)
    c = cu([6])
    for name, want, f in [
        ("falling offsets", "falls from", lambda: k.attention(x, None, torch.tensor([0, 4, 2, 6]), torch.tensor([0, 4, 2, 6]), 2, 1, 0, 0)),
        ("offsets that end early", "want 0 to 6", lambda: k.attention(x, None, cu([5]), cu([5]), 2, 1, 0, 0)),
        ("heads", "heads do not divide", lambda: k.attention(x, None, c, c, 5, 1, 0, 0)),
        ("queries without keys", "no keys", lambda: k.attention(x[:, :8], x[:0, :16], c, cu([0]), 2, 1, 0, 0)),
        ("kv width", "want [N, 16]", lambda: k.attention(x[:, :8], x, c, c, 2, 1, 0, 0)),
        ("probability", "dropout probability", lambda: k.attention(x, None, c, c, 2, 1, 1.5, 0)),
        ("groups", "3 heads are no multiple of 2", lambda: k.attention(x, None, c, c, 3, 1, 0, 0, kv_heads=2)),
        ("rows of visible", "visible has 5 rows, want 6", lambda: k.attention(x, None, c, c, 2, 1, 0, 0, visible=torch.ones(5).long())),
        ("nothing visible", "query row 5 sees 0 keys, want 1 to 6", lambda: k.attention(x, None, c, c, 2, 1, 0, 0, visible=torch.tensor([1, 2, 3, 4, 5, 0]))),
        ("too much visible", "query row 0 sees 7 keys, want 1 to 6", lambda: k.attention(x, None, c, c, 2, 1, 0, 0, visible=torch.full((6,), 7))),
        ("type of visible", "visible must be int32 or int64 [M]", lambda: k.attention(x, None, c, c, 2, 1, 0, 0, visible=torch.ones(6))),
        ("window", "a window of -1 keys", lambda: k.attention(x, None, c, c, 2, 1, 0, 0, window=-1)),
    ]:
        expect_error(f"attention, {name}", want, f)


def check_plan(k):
    """Attention by a plan, in batches with more rows than their sequences have, against the packed form."""
    fill = 3

    def planned(name, lq, lk, heads, d, p, more, twice):
        """Attention of the rows given, to which others are added."""
        kv_heads, window, visible = more.get("kv_heads", heads), more.get("window", 0), more.get("visible")
        same = lk is None or lk == lq
        tq = -(-max(lq) // 8) * 8
        tk = tq if same else -(-max(lk) // 8) * 8 + 8
        full = lambda x, seed: torch.cat([x, torch.randn(fill, x.shape[1], generator=torch.Generator().manual_seed(seed)).to(x.dtype)])

        def call(q, kv=None, filled=True):
            more_q, more_kv = full(q, 1) if filled else q, full(kv, 2) if filled and not same else kv
            plan = k.attention_plan(cu(lq), None if same else cu(lk), visible, window, more_q.shape[0], tq, tk, q)
            y = k.planned_attention(more_q, more_kv, plan, heads, kv_heads, d**-0.5, p, 11, twice)
            return y[: sum(lq)]

        return call

    for case in ATTENTION:
        name, lq, lk, heads, d, p, more = case
        m, kv_heads = sum(lq), more.get("kv_heads", heads)
        if lk is None or lk == lq:
            inputs = [random(m, (heads + 2 * kv_heads) * d)]
            packed = lambda qkv: k.attention(qkv, None, cu(lq), cu(lq), heads, d**-0.5, p, 11, **more)
        else:
            inputs = [random(m, heads * d), random(sum(lk), 2 * kv_heads * d)]
            packed = lambda q, kv: k.attention(q, kv, cu(lq), cu(lk), heads, d**-0.5, p, 11, **more)
        twice = planned(*case, True)
        agree(f"planned attention, {name}", twice, packed, inputs, 1e-12)
        expect(f"planned attention, {name}: gradgradcheck", lambda: (gradgradcheck(twice, inputs), ""))
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):

            def once():
                xs = [x.detach().to(dtype).requires_grad_() for x in inputs]
                out = []
                for f in (planned(*case, False), packed):
                    y = f(*xs)
                    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
                    out.append([y.detach(), *torch.autograd.grad(y, xs, dy)])
                d = difference(*out)
                return d < tolerance, f"{d:.1e}"

            expect(f"planned attention, {name}: differentiated once, {dtype}", once)

        def filling():
            xs = [torch.cat([x.detach(), torch.randn(fill, x.shape[1], dtype=x.dtype)]).requires_grad_() for x in inputs]
            y = planned(*case, True)(*xs, filled=False)
            first = torch.autograd.grad(y.square().sum(), xs, create_graph=True)
            second = torch.autograd.grad(sum(g.pow(3).sum() for g in first), xs)
            rest = [g[len(x) :] for gs in (first, second) for g, x in zip(gs, inputs)]
            return all(torch.equal(r, torch.zeros_like(r)) for r in rest), ""

        expect(f"planned attention, {name}: rows of no sequence get no gradient", filling)
    plan = k.attention_plan(cu([3, 1]), None, None, 0, 4, 8, 8, torch.ones(()))
    x = torch.ones(4, 12)
    for name, want, f in [
        ("too short", "padded to 2 queries and 2 keys, want at least 3 and 3", lambda: k.attention_plan(cu([3, 1]), None, None, 0, 4, 2, 2, x)),
        ("too few rows", "3 query rows, want at least 4", lambda: k.attention_plan(cu([3, 1]), None, None, 0, 3, 8, 8, x)),
        ("no sequence", "no sequence", lambda: k.attention_plan(cu([]), None, None, 0, 0, 8, 8, x)),
        ("another batch", "q has 3 rows, the plan 4", lambda: k.planned_attention(x[:3], None, plan, 2, 2, 1.0, 0.0, 0, True)),
        ("keys of their own", "the plan is for self attention", lambda: k.planned_attention(x[:, :6], x, plan, 3, 3, 1.0, 0.0, 0, True)),
    ]:
        expect_error(f"planned attention, {name}", want, f)


class OnDevice(TorchDispatchMode):
    """Notes every operator that meets a tensor which is not on the device: a copy to it or a read from it."""

    def __init__(self):
        super().__init__()
        self.strays = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        number = lambda t: t.dim() == 0 and "copy" not in str(func)  # an argument of a kernel, not a copy
        if any(t.device.type != "meta" and not number(t) for t in tensors):
            self.strays.append(str(func))
        return out


def check_device(k):
    """What other devices than the CPU compute reads no number from them and copies none to them: on the meta device, which has no numbers, it runs."""
    lengths, wanted = [3, 9, 1], [1, 2, 0]
    heads, kv_heads, d, n, m = 4, 2, 8, 16, 5
    c = heads * d
    plan = lambda lq, lk, visible: [
        t if t is None else t.to("meta")
        for t in k.attention_plan(cu(lq), lk if lk is None else cu(lk), visible, 0, m if lk else n, 16, 16, torch.ones(()))
    ]
    itself, cross = plan(lengths, None, causal(lengths)), plan(wanted, lengths, None)
    on = lambda *shape: torch.empty(*shape, device="meta", requires_grad=True)
    fixed = lambda *shape: torch.empty(*shape, device="meta")
    w, b, matrix, angle = fixed(c), fixed(c), fixed(7, c), fixed(n, d // 2)
    labels = torch.empty(n, dtype=torch.long, device="meta")
    cases = {
        "self attention, twice": (lambda x: k.planned_attention(x, None, itself, heads, kv_heads, 0.3, 0.1, 1, True), [on(n, c + 2 * kv_heads * d)], 2),
        "self attention, once": (lambda x: k.planned_attention(x, None, itself, heads, kv_heads, 0.3, 0.1, 1, False), [on(n, c + 2 * kv_heads * d)], 1),
        "cross attention, twice": (lambda q, kv: k.planned_attention(q, kv, cross, heads, kv_heads, 0.3, 0.1, 1, True), [on(m, c), on(n, 2 * kv_heads * d)], 2),
        "layer norm": (lambda x, r: k.norm(x, r, w, b, 1e-5, 0.1, 1), [on(n, c), on(n, c)], 2),
        "rms norm": (lambda x: k.rms_norm(x, w, 1e-5), [on(n, c)], 2),
        "gelu": (lambda x: k.gelu(x, True), [on(n, c)], 2),
        "swiglu": (k.swiglu, [on(n, c)], 2),
        "rotary": (lambda x: k.rotary(x, angle, angle, heads), [on(n, c + d)], 2),
        "frozen linear": (lambda x: k.frozen_linear(x, matrix, None, None, None), [on(n, c)], 2),
        "dropout": (lambda x: k.dropout(x, 0.1, 1), [on(n, c)], 2),
        "add dropout": (lambda x, r: k.add_dropout(x, r, 0.1, 1), [on(n, c), on(n, c)], 2),
        "cross entropy": (lambda x: k.cross_entropy(x, labels, 0.0), [on(n, 7)], 2),
        "cross entropy, smoothing": (lambda x: k.cross_entropy(x, labels, 0.1), [on(n, 7)], 2),
    }
    for name, (f, inputs, orders) in cases.items():

        def run():
            with OnDevice() as seen:
                y = f(*inputs)
                dy = torch.empty_like(y, requires_grad=True)
                first = torch.autograd.grad(y, inputs, dy, create_graph=orders == 2)
                if orders == 2:
                    torch.autograd.grad(first, inputs + [dy], [torch.empty_like(g) for g in first], allow_unused=True)
            return not seen.strays, " ".join(seen.strays)

        expect(f"on a device, {name}", run)
    with OnDevice() as seen:
        k.attention(fixed(13, 3 * c), None, cu(lengths), cu(lengths), heads, 0.3, 0.0, 1)
    report("on a device, attention without a plan of the batch copies", any("_to_copy" in name for name in seen.strays))


def check_norm(k):
    for name, n, c, residual, p in [
        ("plain", 3, 6, False, 0.0),
        ("residual", 3, 7, True, 0.0),
        ("dropout", 4, 9, False, 0.4),
        ("residual, dropout", 4, 8, True, 0.4),
    ]:
        w, b = random(c, grad=False), random(c, grad=False)
        inputs = [random(n, c) for _ in range(1 + residual)]
        call = lambda f: lambda x, r=None: f(x, r, w.to(x.dtype), b.to(x.dtype), 1e-5, p, 3)
        expect(f"layer norm, {name}: gradcheck", lambda: (gradcheck(call(k.norm), inputs), ""))
        expect(f"layer norm, {name}: gradgradcheck", lambda: (gradgradcheck(call(k.norm), inputs), ""))
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
            for width in (384, 39):
                wide = [random(50, width, dtype=dtype) for _ in inputs]
                ww, bb = random(width, grad=False).to(dtype), random(width, grad=False).to(dtype)
                call2 = lambda f: lambda x, r=None: f(x, r, ww.to(x.dtype), bb.to(x.dtype), 1e-5, p, 3)
                agree(f"layer norm, {name}, C={width}, {dtype}", call2(k.norm), call2(k.norm_composed), wide, tolerance)
    w, b = torch.ones(384), torch.zeros(384)
    x = (torch.randn(5, 384, dtype=torch.float64) + 3000).float()
    want = F.layer_norm(x.double(), (384,), eps=1e-5)
    d, theirs = (k.norm(x, None, w, b, 1e-5, 0.0, 0) - want).abs().max().item(), (F.layer_norm(x, (384,), eps=1e-5) - want).abs().max().item()
    report("layer norm, mean 3000", d <= max(theirs, 2e-4), f"fused {d:.1e}, at::layer_norm {theirs:.1e}")
    w.requires_grad_()
    r = torch.randn_like(x)
    y = k.norm(x, r, w, b, 1e-5, 0.2, 9)
    (g,) = torch.autograd.grad(y.square().sum(), w)
    report("layer norm, a trained weight has a gradient", g.abs().max().item() > 0 and difference([y], [k.norm(x, r, w.detach(), b, 1e-5, 0.2, 9)]) < FLOAT32)

    def third():
        x = random(3, 5)
        y = k.norm(x, None, torch.ones(5).double(), torch.zeros(5).double(), 1e-5, 0.0, 0)
        (g,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("layer norm, third derivative", "fused layer_norm has derivatives up to second order", third)
    expect_error("layer norm, weight shape", "want shape [384]", lambda: k.norm(x, None, w[:3], b, 1e-5, 0, 0))


def check_rms_norm(k):
    for n, c in ((3, 6), (1, 1), (4, 19)):
        w = random(c, grad=False)
        x = random(n, c)
        expect(f"rms norm, C={c}: gradcheck", lambda: (gradcheck(lambda x: k.rms_norm(x, w, 1e-5), [x]), ""))
        expect(f"rms norm, C={c}: gradgradcheck", lambda: (gradgradcheck(lambda x: k.rms_norm(x, w, 1e-5), [x]), ""))
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
        for width in (384, 39):
            w, x = random(width, grad=False).to(dtype), random(50, width, dtype=dtype)
            want = lambda x: F.rms_norm(x, (width,), w.to(x.dtype), 1e-5)
            agree(f"rms norm, C={width}, {dtype}", lambda x: k.rms_norm(x, w.to(x.dtype), 1e-5), want, [x], tolerance)
            agree(f"rms norm composed, C={width}, {dtype}", lambda x: k.rms_norm_composed(x, w.to(x.dtype), 1e-5), want, [x], tolerance)
    w = random(6, dtype=torch.float32)
    (g,) = torch.autograd.grad(k.rms_norm(torch.randn(5, 6), w, 1e-5).square().sum(), w)
    report("rms norm, a trained weight has a gradient", g.abs().max().item() > 0)
    report("rms norm, zeros", k.rms_norm(torch.zeros(2, 6), w.detach(), 1e-5).abs().max().item() == 0)

    def third():
        x = random(3, 5)
        (g,) = torch.autograd.grad(k.rms_norm(x, torch.ones(5).double(), 1e-5).pow(3).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("rms norm, third derivative", "fused rms_norm has derivatives up to second order", third)
    expect_error("rms norm, weight shape", "want shape [6]", lambda: k.rms_norm(torch.ones(2, 6), w[:3], 1e-5))


def check_swiglu(k):
    plain = lambda x: F.silu(x[:, : x.shape[1] // 2]) * x[:, x.shape[1] // 2 :]
    for shape in ((5, 14), (1, 2), (0, 4), (3, 70)):
        x = random(*shape, scale=2)
        expect(f"swiglu, {shape}: gradcheck", lambda: (gradcheck(k.swiglu, [x]), ""))
        expect(f"swiglu, {shape}: gradgradcheck", lambda: (gradgradcheck(k.swiglu, [x]), ""))
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-6), (torch.bfloat16, BFLOAT16)):
        x = random(211, 66, dtype=dtype, scale=2)
        agree(f"swiglu, {dtype}", k.swiglu, plain, [x], tolerance)
        agree(f"swiglu composed, {dtype}", k.swiglu_composed, plain, [x], tolerance)
    far = torch.tensor([[-1e4, -90.0, 90.0, 1e4, math.nan, 1, 1, 1, 1, 1]])
    y = k.swiglu(far)[0]
    report("swiglu, far and NaN", y[:4].tolist() == [0, F.silu(torch.tensor(-90.0)).item() if y[1] else 0, 90, 1e4] and y[4].isnan().item())
    expect("swiglu, transposed input", lambda: (torch.equal(k.swiglu(x.t()[:, :32]), k.swiglu(x.t()[:, :32].contiguous())), ""))
    expect_error("swiglu, odd columns", "want [N, 2I]", lambda: k.swiglu(torch.ones(2, 3)))

    def third():
        x = random(2, 4)
        (g,) = torch.autograd.grad(k.swiglu(x).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("swiglu, third derivative", "fused swiglu has derivatives up to second order", third)


def check_rotary(k):
    def plain(x, cos, sin, heads):
        """apply_rotary_pos_emb of transformers' modeling_llama.py."""
        d = 2 * cos.shape[1]
        cos, sin = torch.cat([cos, cos], 1)[:, None], torch.cat([sin, sin], 1)[:, None]
        q = x[:, : heads * d].unflatten(1, (heads, d))
        half = torch.cat([-q[..., d // 2 :], q[..., : d // 2]], -1)
        return torch.cat([(q * cos + half * sin).flatten(1).to(x.dtype), x[:, heads * d :]], 1)

    for n, heads, d, rest in ((5, 3, 8, 4), (1, 1, 2, 0), (3, 2, 70, 3), (4, 2, 32, 33), (0, 2, 4, 0)):
        angle = torch.rand(n, d // 2) * 100
        cos, sin = angle.cos(), angle.sin()
        call = lambda f: lambda x: f(x, cos, sin, heads)
        x = random(n, heads * d + rest)
        name = f"rotary, {heads} heads of {d} and {rest} columns"
        expect(f"{name}: gradcheck", lambda: (gradcheck(call(k.rotary), [x]), ""))
        expect(f"{name}: gradgradcheck", lambda: (gradgradcheck(call(k.rotary), [x]), ""))
        for dtype, tolerance in ((torch.float64, 1e-15), (torch.float32, 1e-6), (torch.bfloat16, BFLOAT16)):
            agree(f"{name}, {dtype}", call(k.rotary), call(plain), [x.detach().to(dtype)], tolerance)
            agree(f"{name}, composed, {dtype}", call(k.rotary_composed), call(plain), [x.detach().to(dtype)], tolerance)

    def any_order():
        angle, x = torch.rand(4, 3), random(4, 13)
        y, z = (f(x, angle.cos(), angle.sin(), 2).pow(4).sum() for f in (k.rotary, plain))
        for _ in range(3):
            y, z = (torch.autograd.grad(v, x, create_graph=True)[0].pow(2).sum() for v in (y, z))
        return difference([y.detach()], [z.detach()]) < 1e-12, ""

    expect("rotary, three derivatives", any_order)
    x, one = torch.ones(3, 8), torch.ones(3, 2)
    expect_error("rotary, columns", "x has 8 columns, want at least 3 heads of 4", lambda: k.rotary(x, one, one, 3))
    expect_error("rotary, rows", "want [3, D/2]", lambda: k.rotary(x, one[:2], one[:2], 2))
    expect_error("rotary, type", "must be float32", lambda: k.rotary(x, one.double(), one.double(), 2))


def check_cross_entropy(k):
    for m, v, smoothing, labels in (
        (4, 5, 0.0, [3, 0, 4, 1]),
        (3, 7, 0.1, [6, 2, 2]),
        (1, 2, 0.2, [0]),
        (4, 21, 0.1, [20, -100, 5, -100]),
        (2, 3, 1.0, [0, 1]),
    ):
        t = torch.tensor(labels)
        call = lambda f: lambda x: f(x, t, smoothing)
        plain = lambda x: F.cross_entropy(x.to(torch.promote_types(x.dtype, torch.float32)), t, label_smoothing=smoothing)
        x = random(m, v, scale=2)
        name = f"cross entropy, [{m}, {v}], smoothing {smoothing}"
        expect(f"{name}: gradcheck", lambda: (gradcheck(call(k.cross_entropy), [x]), ""))
        expect(f"{name}: gradgradcheck", lambda: (gradgradcheck(call(k.cross_entropy), [x]), ""))
        agree(f"{name}: float64", call(k.cross_entropy), plain, [x], 1e-12)
        agree(f"{name}: composed, float64", call(k.cross_entropy_composed), plain, [x], 1e-12)
    for shift in (0, -100):  # GPT-2's logits lie about -100
        for dtype, tolerance in ((torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
            x, t = (random(60, 5003, scale=3) + shift).to(dtype), torch.randint(5003, (60,))
            call = lambda f: lambda x: f(x, t, 0.1)
            plain = lambda x: F.cross_entropy(x.to(torch.promote_types(x.dtype, torch.float32)), t, label_smoothing=0.1)
            agree(f"cross entropy, [60, 5003] about {shift}, {dtype}", call(k.cross_entropy), plain, [x], tolerance)
    x, t = random(3, 6, dtype=torch.float32, grad=False), torch.tensor([0, 1, 2])
    report("cross entropy, bfloat16 gives float32", k.cross_entropy(x.bfloat16(), t, 0.0).dtype == torch.float32)
    report("cross entropy, no row counts", k.cross_entropy(x, torch.full((3,), -100), 0.0).isnan().item())
    bad = x.clone()
    bad[1, 5] = math.nan
    report("cross entropy, NaN", k.cross_entropy(bad, t, 0.0).isnan().item())
    hidden = x.clone()
    hidden[:, 3:] = -math.inf
    d = (k.cross_entropy(hidden, t, 0.0) - F.cross_entropy(hidden, t)).abs().item()
    report("cross entropy, classes at -inf", d < 1e-6, f"{d:.1e}")
    big = x * 1e4
    d = (k.cross_entropy(big, t, 0.0) / F.cross_entropy(big, t) - 1).abs().item()
    report("cross entropy, huge logits", d < 1e-6, f"{d:.1e}")
    expect("cross entropy, transposed logits", lambda: (torch.equal(k.cross_entropy(x.t().contiguous().t(), t, 0.1), k.cross_entropy(x, t, 0.1)), ""))

    def third():
        x = random(3, 4)
        (g,) = torch.autograd.grad(k.cross_entropy(x, t, 0.0), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("cross entropy, third derivative", "fused cross_entropy has derivatives up to second order", third)
    expect_error("cross entropy, label", "row 2 has label 6, want 0 to 5", lambda: k.cross_entropy(x, torch.tensor([0, 1, 6]), 0.0))
    expect_error("cross entropy, labels", "want int64 [3]", lambda: k.cross_entropy(x, t[:2], 0.0))
    expect_error("cross entropy, smoothing", "label smoothing is 1.5", lambda: k.cross_entropy(x, t, 1.5))


def check_gelu(k):
    for tanh in (False, True):
        form = "tanh" if tanh else "erf"
        composed = lambda x: F.gelu(x, approximate="tanh" if tanh else "none")
        expect(f"gelu {form}: gradcheck", lambda: (gradcheck(lambda x: k.gelu(x, tanh), [random(5, 7, scale=2)]), ""))
        expect(f"gelu {form}: gradgradcheck", lambda: (gradgradcheck(lambda x: k.gelu(x, tanh), [random(5, 7, scale=2)]), ""))
        for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-6), (torch.bfloat16, BFLOAT16)):
            agree(f"gelu {form}, {dtype}", lambda x: k.gelu(x, tanh), composed, [random(211, 33, dtype=dtype, scale=2)], tolerance)
        x = torch.linspace(-12, 12, 400001)
        d = (k.gelu(x, tanh).double() - composed(x.double())).abs().max().item()
        theirs = (composed(x).double() - composed(x.double())).abs().max().item()
        report(f"gelu {form}, -12 to 12", d <= max(1.5 * theirs, 1e-6), f"fused {d:.1e}, at::gelu {theirs:.1e} absolute")
        special = torch.tensor([math.nan, math.inf, -100.0, 100.0, 0.0])
        y = k.gelu(special, tanh)
        report(f"gelu {form}, NaN, infinity and large", y[0].isnan().item() and y[1:].tolist() == [math.inf, 0, 100, 0])
    x = random(4, 6)
    expect("gelu, transposed input", lambda: (torch.equal(k.gelu(x.t(), False), k.gelu(x.t().contiguous(), False)), ""))

    def third():
        x = random(5)
        (g,) = torch.autograd.grad(k.gelu(x, False).sum(), x, create_graph=True)
        (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
        return torch.autograd.grad(h.sum(), x)

    expect_error("gelu, third derivative", "fused gelu has derivatives up to second order", third)

    def freed():
        x = random(5)
        y = k.gelu(x, False)
        y.sum().backward()
        y.sum().backward()

    expect_error("gelu, a freed graph", "already freed", freed)


def check_dropout(k):
    x = random(9, 21)
    expect("dropout: gradgradcheck", lambda: (gradgradcheck(lambda x: k.dropout(x, 0.3, 5), [x]), ""))
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        agree(f"dropout, {dtype}", lambda x: k.dropout(x, 0.3, 5), lambda x: k.dropout_composed(x, 0.3, 5), [x.detach().to(dtype)], 1e-2 if dtype == torch.bfloat16 else 1e-6)
        both = [random(9, 21, dtype=dtype), random(9, 21, dtype=dtype)]
        for p in (0.0, 0.3):
            want = lambda x, r: k.dropout_composed(x, p, 5) + r
            agree(f"add dropout {p}, {dtype}", lambda x, r: k.add_dropout(x, r, p, 5), want, both, 1e-2 if dtype == torch.bfloat16 else 1e-6)
    expect("add dropout: gradgradcheck", lambda: (gradgradcheck(lambda x, r: k.add_dropout(x, r, 0.3, 5), [x, random(9, 21)]), ""))
    expect_error("add dropout, shapes", "differ in shape", lambda: k.add_dropout(x, x[:1], 0.3, 5))
    report("dropout 0 is the input", k.dropout(x, 0.0, 5) is x or torch.equal(k.dropout(x, 0.0, 5), x))
    report("dropout 1 is 0", k.dropout(x, 1.0, 5).abs().max().item() == 0)
    y = k.dropout(torch.full((4, 9), math.nan), 0.5, 1)
    report("dropout keeps NaN", y.isnan().all().item())

    def deviations(values):
        """The largest of many sums, in standard deviations."""
        return max(abs(v) for v in values)

    like, n, width = torch.zeros((), dtype=torch.float64), 2048, 1024
    bound = 5.0  # of about 500 normal variables the largest is below 3.9 in 95 of 100 runs; the masks never change
    for p in (0.1, 0.5):
        sigma = math.sqrt(p * (1 - p))
        means, lags, rows, heads, seeds = [], [], [], [], []
        previous = None
        for seed in list(range(8)) + [2**32, 2**63, 12345678901234567]:
            mask = (k.dropout_mask(2, n, width, p, seed, like) - (1 - p)) / sigma
            a, count = mask[0], n * width
            means += [a.sum() / math.sqrt(count), *(a.sum(0)[:16] / math.sqrt(n)), *(a.sum(1)[:16] / math.sqrt(width))]
            for lag in (1, 2, 3, 4, 7, 8, 16, 32, 64, 384):
                lags.append((a[:, lag:] * a[:, :-lag]).sum() / math.sqrt(n * (width - lag)))
                rows.append((a[lag:] * a[:-lag]).sum() / math.sqrt((n - lag) * width))
            heads.append((a * mask[1]).sum() / math.sqrt(count))
            if previous is not None:
                seeds.append((a * previous).sum() / math.sqrt(count))
            previous = a
        for name, values in (("mean", means), ("columns a lag apart", lags), ("rows a lag apart", rows), ("heads", heads), ("seeds", seeds)):
            worst = deviations([float(v) for v in values])
            report(f"dropout mask, p={p}: {name}", worst < bound, f"{worst:.1f} standard deviations, largest of {len(values)}")
        counts = k.dropout_mask(1, 20000, 64, p, 3, like)[0].sum(1)
        ratio = (counts.var() / (64 * p * (1 - p))).item()
        report(f"dropout mask, p={p}: variance of row sums", abs(ratio - 1) < 0.05, f"{ratio:.3f} of the binomial's")


def check_linear(k):
    w, b = random(6, 5, grad=False), random(6, grad=False)
    call = lambda x: k.frozen_linear(x, w, None, None, b)
    x = random(4, 5)
    expect("frozen linear: gradcheck", lambda: (gradcheck(call, [x]), ""))
    expect("frozen linear: gradgradcheck", lambda: (gradgradcheck(call, [x]), ""))
    for dtype, tolerance in ((torch.float32, FLOAT32), (torch.bfloat16, BFLOAT16)):
        w, b = random(96, 64, dtype=dtype, grad=False), random(96, dtype=dtype, grad=False)
        p, pt = k.pack_frozen(w)
        x = random(50, 64, dtype=dtype)
        composed = lambda x: F.linear(x, w.to(x.dtype), b.to(x.dtype))
        agree(f"frozen linear, {dtype}", lambda x: k.frozen_linear(x, w, None, None, b), composed, [x], tolerance)
        agree(f"frozen linear packed, {dtype}", lambda x: k.frozen_linear(x, w, p, pt, b), composed, [x], tolerance)
        want = F.linear(x.float(), w.float(), b.float()).to(dtype)
        same = (k.frozen_linear(x, w, p, pt, b) == want).float().mean().item()
        report(f"frozen linear, {dtype}: the float32 product rounded", same > (0.99 if dtype == torch.bfloat16 else 0.3), f"{same:.4f} of the numbers identical")

    def any_order():
        x = random(4, 5)
        w = random(5, 5, grad=False)
        y = k.frozen_linear(x, w, None, None, None).pow(4).sum()
        z = F.linear(x, w).pow(4).sum()
        for _ in range(3):
            y = torch.autograd.grad(y, x, create_graph=True)[0].pow(2).sum()
            z = torch.autograd.grad(z, x, create_graph=True)[0].pow(2).sum()
        return difference([y.detach()], [z.detach()]) < 1e-12, ""

    expect("frozen linear, three derivatives", any_order)
    expect_error("frozen linear, shapes", "want [N, in] and [out, in]", lambda: k.frozen_linear(random(4, 3), random(5, 5), None, None, None))


def check_memory(k):
    """In the forward-only case 512 tokens must not cost a matrix of scores."""
    import resource

    lengths = [512] * 16
    x = torch.randn(sum(lengths), 3 * 384)
    with torch.no_grad():
        k.attention(x[:512], None, cu([512]), cu([512]), 12, 0.1, 0.1, 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        k.attention(x, None, cu(lengths), cu(lengths), 12, 0.1, 0.1, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report("attention, 16 x 512 tokens: memory", grown < 40, f"{grown:.0f} MB more, all scores would be {16 * 12 * 512 * 512 * 4 >> 20} MB")


def check_repeatable(k):
    lengths = [13, 53, 20]
    x = random(sum(lengths), 3 * 96, dtype=torch.float32)
    call = lambda x: k.attention(x, None, cu(lengths), cu(lengths), 3, 0.2, 0.1, 1)
    a, b = three_orders(call, [x], 1), three_orders(call, [x], 1)
    report("the same bytes twice", all(torch.equal(u, v) for u, v in zip(a, b)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    c = three_orders(call, [x], 1)
    torch.set_num_threads(threads)
    report("the same bytes on one thread", all(torch.equal(u, v) for u, v in zip(a, c)))


def stages(f, inputs, others=()):
    """What to time: forward alone, with backward, with the double backward."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    y = f(*inputs)
    dy = torch.randn_like(y, requires_grad=True)
    weights = [torch.randn_like(x) for x in inputs]

    def forward():
        with torch.no_grad():
            f(*inputs)

    def backward():
        torch.autograd.grad(f(*inputs), inputs, dy)

    def double():
        first = torch.autograd.grad(f(*inputs), inputs, dy, create_graph=True)
        torch.autograd.grad(first, inputs + [dy], weights, allow_unused=True)  # linear functions do not use their inputs

    return {"forward": forward, "+backward": backward, "+double": double}


def bench(k, clock):
    def table(name, fused, composed, inputs):
        a, b = stages(fused, inputs), stages(composed, inputs)
        cells = []
        for stage in a:
            best = {}
            runs = {"fused": a[stage], "composed": b[stage]}
            for run in runs.values():
                run()
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                for label, run in runs.items():
                    start = clock()
                    run()
                    best[label] = min(best.get(label, 1e9), clock() - start)
            cells.append(f"{best['fused'] * 1e3:7.3f} / {best['composed'] * 1e3:7.3f} = {best['composed'] / best['fused']:5.1f}")
        print(f"{name:44s} " + "   ".join(cells), flush=True)

    print(f"\nms, fused / composed = ratio; best run; {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'':44s} {'forward':25s}   {'+backward':25s}   +double backward")
    g = torch.Generator().manual_seed(1)
    for mean, spread in ((13, 8), (53, 20)):
        lengths = (mean + spread * torch.randn(16, generator=g)).round().clamp(3, 128).int().tolist()
        for p in (0.0, 0.1):
            call = lambda f: lambda x: f(x, None, cu(lengths), cu(lengths), 12, 32**-0.5, p, 5)
            table(f"attention B=16 H=12 D=32 T={mean}±{spread} p={p}", call(k.attention), call(k.attention_composed), [torch.randn(sum(lengths), 1152)])
    for heads, kv_heads, d in ((12, 12, 64), (16, 4, 64)):
        lengths = (80 + 30 * torch.randn(8, generator=g)).round().clamp(3, 256).int().tolist()
        call = lambda f: lambda x: f(x, None, cu(lengths), cu(lengths), heads, d**-0.5, 0.0, 5, kv_heads=kv_heads, visible=causal(lengths))
        table(f"causal B=8 H={heads} KV={kv_heads} D={d} T=80±30", call(k.attention), call(k.attention_composed), [torch.randn(sum(lengths), (heads + 2 * kv_heads) * d)])
    for n in (210, 850):
        w, b = torch.randn(384), torch.randn(384)
        for p in (0.0, 0.1):
            call = lambda f: lambda x, r: f(x, r, w, b, 1e-5, p, 5)
            native = lambda x, r: F.layer_norm(F.dropout(x, p) + r, (384,), w, b, 1e-5)
            table(f"add, dropout {p}, layer norm N={n} C=384", call(k.norm), native, [torch.randn(n, 384), torch.randn(n, 384)])
        table(f"gelu N={n} C=1536", lambda x: k.gelu(x, False), F.gelu, [torch.randn(n, 1536)])
        table(f"gelu tanh N={n} C=1536", lambda x: k.gelu(x, True), lambda x: F.gelu(x, approximate="tanh"), [torch.randn(n, 1536)])
        table(f"rms norm N={n} C=384", lambda x: k.rms_norm(x, w, 1e-5), lambda x: k.rms_norm_composed(x, w, 1e-5), [torch.randn(n, 384)])
        table(f"swiglu N={n} I=1024", k.swiglu, k.swiglu_composed, [torch.randn(n, 2048)])
        c = torch.rand(n, 32)
        table(f"rotary N={n} 8 of 12 heads of 64", lambda x: k.rotary(x, c, c, 8), lambda x: k.rotary_composed(x, c, c, 8), [torch.randn(n, 768)])
        table(f"dropout 0.1 N={n} C=384", lambda x: k.dropout(x, 0.1, 5), lambda x: F.dropout(x, 0.1), [torch.randn(n, 384)])
    labels = torch.randint(50257, (200,))
    for smoothing in (0.0, 0.1):
        call = lambda f: lambda x: f(x, labels, smoothing)
        table(f"cross entropy M=200 V=50257 smoothing {smoothing}", call(k.cross_entropy), call(k.cross_entropy_composed), [torch.randn(200, 50257)])
    print("\nfrozen linear, GFLOP/s, best run")
    for n in (210, 850):
        for o, i in ((1152, 384), (384, 384), (1536, 384), (384, 1536)):
            line = f"N={n} out={o} in={i}:"
            for dtype in (torch.float32, torch.bfloat16):
                w, b = torch.randn(o, i).to(dtype), torch.randn(o).to(dtype)
                p, pt = k.pack_frozen(w)
                x, dy, wt = torch.randn(n, i).to(dtype), torch.randn(n, o).to(dtype), w.t()
                runs = {
                    "forward": lambda: k.frozen_linear(x, w, None, None, b),
                    "packed": lambda: k.frozen_linear(x, w, p, pt, b),
                    "backward": lambda: k.frozen_linear(dy, wt, None, None, None),
                    "backward packed": lambda: k.frozen_linear(dy, wt, pt, p, None),
                }
                best = {}
                end = time.monotonic() + 1.0
                while time.monotonic() < end:
                    for label, run in runs.items():
                        start = clock()
                        run()
                        best[label] = min(best.get(label, 1e9), clock() - start)
                line += f"  {dtype}: " + ", ".join(f"{label} {2 * n * o * i / t / 1e9:.0f}" for label, t in best.items())
            print(line, flush=True)


CHECKS = (
    check_memory, check_dropout, check_gelu, check_swiglu, check_norm, check_rms_norm, check_linear, check_rotary,
    check_attention, check_plan, check_device, check_cross_entropy, check_repeatable,
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", action="store_true", help="time the operators as well")
    parser.add_argument("--no-check", action="store_true", help="do not prove them")
    parser.add_argument("--build", metavar="DIR", help="build in DIR and keep it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="measure processor time: for a busy machine, with --threads 1")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.abspath(args.build) if args.build else scratch
        os.makedirs(folder, exist_ok=True)
        k = build(folder)
        if not args.no_check:
            for check in CHECKS:
                check(k)
        if args.bench:
            bench(k, time.process_time if args.cpu_time else time.perf_counter)
    print(f"{failures} failed" if failures else "all ok")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
