"""Writes ops.json and adamw.json, which ops_golden_test.go and optim_test.go compare with.

Run with PyTorch of the version that the Go code links (2.11.0):
    python goldens.py
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)


def ramp(*shape, offset=0.0):
    """Numbers between -1.5 and 1.5 without a pattern that an operator could hide in."""
    n = math.prod(shape)
    return (torch.arange(n, dtype=torch.float64) * 0.618 + 0.31 + offset).remainder(3).sub(1.5).reshape(shape)


def positive(*shape):
    return ramp(*shape).abs() + 0.5


def ids(*values):
    return torch.tensor(values, dtype=torch.int64)


# What the operators on packed rows below have in common with ops_golden_test.go.
SCALE, BIAS = torch.tensor([1, -2, 0.5, 3]), torch.tensor([0.25, -1, 2, 0.5])
COS, SIN = torch.tensor([[0.5, -0.25], [0.75, 1], [-1, 0.125]]), torch.tensor([[1, 0.5], [-0.5, 0], [0.25, -0.75]])


def rotary(x, heads, d):
    """Of the first heads heads, as transformers' modeling_llama.py does it."""
    q = x[:, : heads * d].unflatten(1, (heads, d))
    half = torch.cat([-q[..., d // 2 :], q[..., : d // 2]], -1)
    cos, sin = torch.cat([COS, COS], 1)[:, None], torch.cat([SIN, SIN], 1)[:, None]
    return torch.cat([(q * cos + half * sin).flatten(1), x[:, heads * d :]], 1)


def attention(q, kv, q_offsets, kv_offsets, visible, heads, kv_heads, d, window=0):
    """Each sequence and head for itself, by torch's own attention."""
    out = []
    for at, to, first, last in zip(q_offsets[:-1], q_offsets[1:], kv_offsets[:-1], kv_offsets[1:]):
        query = q[at:to].unflatten(1, (heads, d)).transpose(0, 1)
        key, value = kv[first:last].unflatten(1, (2, kv_heads, d)).permute(1, 2, 0, 3)
        place, seen = torch.arange(int(last - first)), visible[at:to, None]
        mask = (place < seen) & (place >= seen - window if window else True)
        y = F.scaled_dot_product_attention(query[None], key[None], value[None], mask, scale=0.7, enable_gqa=True)
        out.append(y[0].transpose(0, 1).flatten(1))
    return torch.cat(out)


def self_attention(qkv, offsets, visible):
    return attention(qkv[:, :4], qkv[:, 4:], offsets, offsets, visible, 2, 1, 2, window=2)


# Names and constants are those of the table in ops_golden_test.go.
OPS = [
    ("add", torch.add, ramp(2, 3), ramp(3, offset=1)),
    ("sub", torch.sub, ramp(2, 3), ramp(2, 1, offset=1)),
    ("mul", torch.mul, ramp(2, 3), ramp(1, 3, offset=1)),
    ("add_scalar", lambda a: a + 0.3, ramp(4)),
    ("mul_scalar", lambda a: a * -1.7, ramp(4)),
    ("sqrt", torch.sqrt, positive(5)),
    ("tanh", torch.tanh, ramp(5)),
    ("sigmoid", torch.sigmoid, ramp(5)),
    ("cos", torch.cos, ramp(5)),
    ("sin", torch.sin, ramp(5)),
    ("relu", torch.relu, ramp(5)),
    ("softmax", lambda a: torch.softmax(a, -1), ramp(2, 4)),
    ("softmax_first", lambda a: torch.softmax(a, 0), ramp(3, 2)),
    ("log_softmax", lambda a: torch.log_softmax(a, -1), ramp(2, 4)),
    ("topk", lambda a: torch.topk(a, 2).values, ramp(2, 4)),
    ("sum", torch.sum, ramp(2, 3)),
    ("mean", torch.mean, ramp(2, 3)),
    ("matmul", torch.matmul, ramp(2, 3), ramp(3, 4, offset=1)),
    ("matmul_batched", torch.matmul, ramp(2, 2, 3), ramp(2, 3, 2, offset=1)),
    ("matmul_vectors", torch.matmul, ramp(3), ramp(3, offset=1)),
    ("addmm_", lambda t, a, b: t.clone().addmm_(a, b), ramp(2, 4), ramp(2, 3, offset=1), ramp(3, 4, offset=2)),
    ("transpose", lambda a: a.transpose(0, 2), ramp(2, 3, 2)),
    ("contiguous", lambda a: a.transpose(0, 1).contiguous(), ramp(2, 3)),
    ("reshape", lambda a: a.reshape(3, -1), ramp(2, 3, 2)),
    ("narrow", lambda a: a.narrow(1, 1, 2), ramp(2, 4)),
    ("index_select", lambda a, i: a.index_select(1, i), ramp(2, 4), ids(3, 0, 0)),
    ("index_copy_", lambda t, a, i: t.clone().index_copy_(0, i, a), ramp(3, 2), ramp(2, 2, offset=1), ids(2, 0)),
    ("cat", lambda a, b: torch.cat([a, b], 1), ramp(2, 3), ramp(2, 1, offset=1)),
    ("block_diag", lambda a, b: torch.block_diag(a, torch.zeros(2, 0, dtype=a.dtype), b), ramp(2, 3), ramp(1, 2, offset=1)),
    ("linear", F.linear, ramp(2, 3), ramp(4, 3, offset=1), ramp(4, offset=2)),
    ("linear_no_bias", F.linear, ramp(2, 3), ramp(4, 3, offset=1)),
    ("embedding", lambda w, i: F.embedding(i, w), ramp(4, 3), ids(2, 0, 2)),
    ("layer_norm", lambda x, w, b: F.layer_norm(x, w.shape, w, b, 1e-5), ramp(3, 4), ramp(4, offset=1), ramp(4, offset=2)),
    ("layer_norm_frozen", lambda x: F.layer_norm(x, (4,), SCALE, BIAS, 1e-5), ramp(3, 4)),
    ("rms_norm", lambda x, w: F.rms_norm(x, w.shape, w, 1e-5), ramp(3, 4), ramp(4, offset=1)),
    ("rms_norm_frozen", lambda x: F.rms_norm(x, (4,), SCALE, 1e-5), ramp(3, 4)),
    ("swiglu", lambda x: F.silu(x[:, :3]) * x[:, 3:], ramp(2, 6)),
    ("geglu", lambda x: F.gelu(x[:, :3]) * x[:, 3:], ramp(2, 6)),
    ("geglu_tanh", lambda x: F.gelu(x[:, :3], approximate="tanh") * x[:, 3:], ramp(2, 6)),
    ("rotary", lambda x: rotary(x, 2, 4), ramp(3, 9)),
    ("add_dropout", lambda x, r: x + r, ramp(2, 3), ramp(2, 3, offset=1)),
    ("self_attention", self_attention, ramp(5, 8), ids(0, 4, 5), ids(1, 2, 3, 4, 1)),
    (
        "cross_attention",
        lambda q, kv, a, b, seen: attention(q, kv, a, b, seen, 4, 2, 2),
        ramp(3, 8), ramp(5, 8, offset=1), ids(0, 2, 2, 3), ids(0, 3, 4, 5), ids(3, 1, 1),
    ),
    ("cross_entropy", F.cross_entropy, ramp(3, 4), ids(3, 0, 1)),
    ("cross_entropy_smooth", lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), ramp(4, 4), ids(3, -100, 0, 1)),
    ("mse_loss", F.mse_loss, ramp(2, 3), ramp(2, 3, offset=1)),
]


def plain(t):
    return {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "data": t.flatten().tolist()}


def op_cases():
    for name, fn, *inputs in OPS:
        leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
        output = fn(*leaves)
        weights = ramp(*output.shape, offset=0.7)
        variable = [x for x in leaves if x.requires_grad]
        gradients = torch.autograd.grad(output, variable, weights)
        yield {
            "name": name,
            "inputs": [plain(x) for x in inputs],
            "output": plain(output.detach()),
            "weights": plain(weights),
            "gradients": [plain(g) for g in gradients],
        }


def adamw_case():
    """Ten steps of torch.optim.AdamW, each with its own gradients and learning rate."""
    settings = {"beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.1}
    params = [ramp(2, 3).requires_grad_(), ramp(4, offset=1).requires_grad_(), ramp(offset=2).requires_grad_()]
    optimizer = torch.optim.AdamW(
        params, betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"], weight_decay=settings["weight_decay"]
    )
    case = {**settings, "params": [plain(p.detach()) for p in params], "steps": []}
    for step in range(10):
        rate = 0.02 * (10 - step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        for i, p in enumerate(params):
            p.grad = ramp(*p.shape, offset=0.4 * step + i) * 10 ** (i - 1)
        gradients = [plain(p.grad) for p in params]
        optimizer.step()
        state = [optimizer.state[p] for p in params]
        case["steps"].append(
            {
                "lr": rate,
                "gradients": gradients,
                "params": [plain(p.detach()) for p in params],
                "first_moments": [plain(s["exp_avg"]) for s in state],
                "second_moments": [plain(s["exp_avg_sq"]) for s in state],
            }
        )
    return case


def write(name, **content):
    body = {"made_by": f"goldens.py with torch {torch.__version__}", **content}
    (HERE / name).write_text(json.dumps(body, separators=(",", ":")).replace('{"name"', '\n{"name"').replace('{"lr"', '\n{"lr"') + "\n")


write("ops.json", ops=list(op_cases()))
write("adamw.json", **adamw_case())
