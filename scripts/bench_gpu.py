#!/usr/bin/env python3
"""Times autolora, PEFT, PEFT under torch.compile, and Betty's search in turn on one GPU; prints a Markdown table.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow
    python scripts/bench_gpu.py --sst2 testdata/sst2/train-00000-of-00001.parquet [--mrpc FILE] [--e2e trainset.csv]
    python scripts/bench_gpu.py --device cpu --models tiny --batch-sizes 4 --batches 4 --rounds 1 ...    # tries the script

What is compared
  - One training step (forward, backward, AdamW, gradients cleared) of LoRA, r = 8, on query and value, with a trained head:
    PEFT, PEFT under torch.compile, autolora. On GPT-2 the loss is on the targets' tokens, and PEFT's LoRA on all of c_attn.
  - One search iteration: autolora's exact second-order one (k = 8), and the finite differences of Betty, the engine of the
    paper's code. Betty's is rebuilt here from its source (problems/problem.py, hypergradient/darts.py): states copied,
    inner step, validation gradient, two perturbed gradients, alpha's step, states restored, inner step again, which is 5
    forward and 6 backward passes.
  - The shapes of real models with random weights; their values do not matter for time. The tokenizer is a byte-level BPE
    learnt from the very texts. PEFT and Betty get batches padded to the longest row, on the device before the clock starts.
  - The same batches, in file order, dtype and dropout. bfloat16 in PEFT is a base in bfloat16 with float32 adapters, its
    default; float32 products are float32, not TF32. Attention is transformers' default (sdpa).
  - Each run is a process of its own; systems take turns within a round, and the order turns with the round. The clock stops
    when the device has done a step. PyTorch's systems see every batch once beforehand, so that nothing compiles inside the
    clock; autolora sees two. A run gives a median over batches, the table the median over rounds.

"of peak" is the matrix work that a LoRA step needs for its real tokens (frozen linears forward and for their inputs'
gradients, LoRA, attention) per second, over the device's peak; a search iteration needs three times a step's. Padding earns
nothing there. autolora leaves rows out of the last layer that the head does not read; they are counted all the same.
"""

import copy
import itertools
import os
import random
import statistics
import sys
import tempfile
import time

import peers
from peers import RANK, WARM_UP, chunks, padded, peak_memory, read_e2e

# Layers, width and heads; the feed-forward is four times as wide.
ROBERTA = {"roberta-base": (12, 768, 12), "roberta-large": (24, 1024, 16), "tiny": (2, 64, 4)}
GPT2 = {"gpt2-medium": (24, 1024, 16), "gpt2-tiny": (2, 64, 4)}
VOCABULARY = {"roberta": 50265, "gpt2": 50257}
# Dense TFLOP/s in bfloat16 (tensor cores, without sparsity) and float32 (no TF32), from NVIDIA's data sheets; the first
# name that torch's name of the device contains counts.
PEAKS = {
    "H100 PCIe": (756, 51), "H100 NVL": (835, 60), "H100": (989, 67), "H200": (989, 67), "B200": (2250, 75),
    "A100": (312, 19.5), "L40S": (362, 91.6), "L4": (121, 30.3), "A10": (125, 31.2),
}  # fmt: skip
SYSTEMS = {"peft": "PEFT", "compile": "PEFT, compiled", "betty": "Betty", "autolora": "autolora"}


def make_model(name, texts, folder):
    """Writes a folder with config, random weights and tokenizer, as autolora and transformers read it."""
    import tokenizers
    import torch
    import transformers

    peers.quiet()
    gpt2 = name in GPT2
    specials = ["<|endoftext|>"] if gpt2 else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    bpe.train_from_iterator(texts, vocab_size=16000, special_tokens=specials, show_progress=False)
    end = specials[0] if gpt2 else "</s>"
    settings = {"eos_token": end} if gpt2 else {"cls_token": "<s>", "sep_token": end, "pad_token": "<pad>", "unk_token": "<unk>"}
    if not gpt2:
        bpe._tokenizer.post_processor = tokenizers.processors.RobertaProcessing((end, 2), ("<s>", 0))
    transformers.PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, **settings).save_pretrained(folder)

    torch.manual_seed(0)
    if gpt2:
        layers, width, heads = GPT2[name]
        config = transformers.GPT2Config(
            vocab_size=VOCABULARY["gpt2"], n_layer=layers, n_embd=width, n_head=heads, bos_token_id=0, eos_token_id=0
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        layers, width, heads = ROBERTA[name]
        config = transformers.RobertaConfig(
            vocab_size=VOCABULARY["roberta"], num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
            intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
        )  # fmt: skip
        model = transformers.RobertaForSequenceClassification(config)
    model.save_pretrained(folder)


def flops(name, lengths, targets):
    """Floating-point operations of the matrix products of one LoRA step on sequences of these lengths."""
    layers, width, _ = (GPT2 if name in GPT2 else ROBERTA)[name]
    tokens = sum(lengths)
    # Forward, and the gradient with respect to the input; below the first adapters none is wanted.
    frozen = 2 * tokens * (2 * layers * 12 * width**2 - 3 * width**2)
    lora = 3 * 2 * tokens * layers * 2 * (2 * width * RANK)
    attention = 3 * layers * sum(4 * width * n**2 for n in lengths) // (2 if name in GPT2 else 1)
    head = 2 * 2 * targets * width * VOCABULARY["gpt2"] if name in GPT2 else 3 * 2 * len(lengths) * width**2
    return frozen + lora + attention + head


def device_peak(device, dtype):
    """Name of the device, FLOP/s at most, and where that number is from; a worker."""
    import torch

    name = torch.cuda.get_device_name(device) if device != "cpu" else "CPU"
    for known, peaks in PEAKS.items():
        if device != "cpu" and known in name:
            return {"device": name, "peak": peaks[dtype == "float32"] * 1e12, "source": "data sheet"}
    n = 8192 if device != "cpu" else 1024
    a = torch.randn(n, n, device=device, dtype=getattr(torch, dtype))
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        if device != "cpu":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {"device": name, "peak": 2 * n**3 / min(seconds), "source": f"a product of {n}"}


def load_batches(name, folder, path, batch_size, device):
    """The file's batches, padded, on the device; with the lengths of each one's rows and its number of target tokens."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = peers.load_rows(path)
    if name in GPT2:
        ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
        end = tokenizer.eos_token_id
        batches, targets = [], []
        for part in chunks([(ids(r["source"]) + [end], ids(" " + r["target"]) + [end]) for r in rows], batch_size):
            batches.append({
                "input_ids": padded([s + t for s, t in part], end),
                "attention_mask": padded([[1] * len(s + t) for s, t in part], 0),
                "labels": padded([[-100] * len(s) + t for s, t in part], -100),
            })  # fmt: skip
            targets.append(sum(len(t) for _, t in part))
    else:
        batches = list(peers.padded_batches(tokenizer, rows, batch_size, max_length=512))
        for b in batches:
            b.pop("token_type_ids", None)
        targets = [0] * len(batches)
    lengths = [b["attention_mask"].sum(1).tolist() for b in batches]
    return [{k: v.to(device) for k, v in b.items()} for b in batches], lengths, targets


def load_base(name, folder, dtype, dropout):
    import torch
    import transformers

    peers.quiet()
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(folder)
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
        if hasattr(config, key):
            setattr(config, key, dropout)
    auto = transformers.AutoModelForCausalLM if name in GPT2 else transformers.AutoModelForSequenceClassification
    return auto.from_pretrained(folder, config=config, dtype=getattr(torch, dtype))


def lora_step(system, name, folder, dtype, dropout, device):
    """PEFT's training step, compiled or not."""
    import torch
    from peft import LoraConfig, get_peft_model

    task, targets = ("CAUSAL_LM", ["c_attn"]) if name in GPT2 else ("SEQ_CLS", ["query", "value"])
    adapter = LoraConfig(
        task_type=task, r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=targets, fan_in_fan_out=name in GPT2
    )
    model = get_peft_model(load_base(name, folder, dtype, dropout), adapter).to(device).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    forward = torch.compile(model) if system == "compile" else model

    def step(batch, _):
        forward(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def betty_step(name, folder, dtype, dropout, device):
    """An iteration of the paper's code: Betty with type "darts", unroll_steps 1 and roll_back."""
    import torch

    model = load_base(name, folder, dtype, dropout).requires_grad_(False)
    layers = model.config.num_hidden_layers

    class SearchLinear(torch.nn.Module):
        """A frozen linear layer and LoRA whose k rank-one parts are weighted by softmax(alpha)."""

        def __init__(self, base, row):
            super().__init__()
            self.base, self.row = base, row
            self.lora_A = torch.nn.Parameter(torch.randn(RANK, base.in_features) * 0.02)
            self.lora_B = torch.nn.Parameter(torch.zeros(base.out_features, RANK))

        def forward(self, x):
            weighted = self.lora_B * torch.softmax(alphas[self.row], 0)
            delta = x.to(self.lora_A.dtype) @ self.lora_A.T @ weighted.T
            return self.base(x) + 2 * delta.to(x.dtype)

    for i, layer in enumerate(model.roberta.encoder.layer):
        attention = layer.attention.self
        attention.query, attention.value = SearchLinear(attention.query, 2 * i), SearchLinear(attention.value, 2 * i + 1)
    model.classifier.requires_grad_(True).float()
    model.classifier.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    model.to(device).train()
    alphas = torch.ones(2 * layers, RANK, device=device, requires_grad=True)
    weights = [p for p in model.parameters() if p.requires_grad]
    inner = torch.optim.Adam(weights, lr=3e-4)
    outer = torch.optim.Adam([alphas], lr=3e-4, betas=(0.5, 0.999))

    def inner_step(batch):
        inner.zero_grad()
        for p, g in zip(weights, torch.autograd.grad(model(**batch).loss, weights)):
            p.grad = g
        inner.step()

    def step(batch, previous):
        states = copy.deepcopy(model.state_dict()), copy.deepcopy(inner.state_dict())
        inner_step(batch)
        loss = model(**previous).loss
        vector = torch.autograd.grad(loss, weights, retain_graph=True)
        direct = torch.autograd.grad(loss, alphas)[0]
        eps = 0.01 / torch.cat([v.reshape(-1) for v in vector]).norm()
        sides = []
        for shift in (eps, -2 * eps):
            for p, v in zip(weights, vector):
                p.data.add_(v * shift)
            sides.append(torch.autograd.grad(model(**batch).loss, alphas)[0])
        alphas.grad = direct + (sides[1] - sides[0]) / (2 * eps)
        outer.step()
        model.load_state_dict(states[0])
        inner.load_state_dict(states[1])
        inner_step(batch)

    return step


def worker(system, *spec):
    """One run of PEFT or Betty in this process; what `autolora bench --json` would say of it."""
    if system == "peak":
        return device_peak(*spec)
    name, folder, path, batch_size, dtype, dropout, device, threads = spec
    import torch

    torch.set_num_threads(threads)
    batches, lengths, targets = load_batches(name, folder, path, batch_size, device)
    make = betty_step if system == "betty" else lambda *rest: lora_step(system, *rest)
    step = make(name, folder, dtype, dropout, device)
    wait = torch.cuda.synchronize if device != "cpu" else lambda: None
    seconds = []
    for timed in (False, True):
        for previous, batch in zip([batches[-1]] + batches, batches):
            wait()
            start = time.perf_counter()
            step(batch, previous)
            wait()
            if timed:
                seconds.append(time.perf_counter() - start)
    seconds, counted = seconds[WARM_UP:], lengths[WARM_UP:]
    return {
        "ms": 1e3 * statistics.median(seconds),
        "tokens_per_s": sum(map(sum, counted)) / sum(seconds),
        "peak_bytes": torch.cuda.max_memory_allocated() if device != "cpu" else peak_memory(),
        "flops": statistics.median(flops(name, n, t) for n, t in zip(counted, targets[WARM_UP:])),
        "padding": 1 - sum(map(sum, lengths)) / sum(b["input_ids"].numel() for b in batches),
    }


def run_system(system, args, name, folder, path, batch_size, dtype, dropout):
    if system != "autolora":
        spec = [system, name, folder, path, batch_size, dtype, dropout, args.device, args.threads]
        return peers.run_worker(__file__, spec, args.threads)
    command = [
        args.autolora, "bench", "--model", folder, "--input", path, "--batch-size", str(batch_size), "--max-length", "512",
        "--dtype", dtype, "--dropout", f"{dropout:g}", "--device", args.device, "--threads", str(args.threads), "--json",
    ]  # fmt: skip
    r = peers.run_json(command + (["--beams", "1", "--max-new-tokens", "1"] if name in GPT2 else []), args.threads)
    bytes_ = r["peak_memory_bytes"] if args.device == "cpu" else r.get("device_peak_memory_bytes", 0)
    return {"ms": r["lora_step_ms"], "search_ms": r["search_step_ms"], "tokens_per_s": r["tokens_per_s"], "peak_bytes": bytes_}


def table(cases):
    """A Markdown line per case and system; every time also as a multiple of PEFT's LoRA step."""
    lines = ["| model | task, batch | dtype, dropout | system | LoRA step ms | search ms | tokens/s | peak MiB | of peak |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for case in cases:
        m, peak = case["median"], case["peak"]["peak"]
        unit, work = m["peft"]["ms"], m["peft"]["flops"]
        ratio = lambda ms: f"{ms:.2f} = {ms / unit:.2f}" if ms else ""
        for system, r in m.items():
            search = r["ms"] if system == "betty" else r.get("search_ms")
            step = None if system == "betty" else r["ms"]
            share = work / (step * 1e-3) / peak if step else 3 * work / (search * 1e-3) / peak
            lines.append(
                f"| {case['model']} | {case['task']}, {case['batch']}, {m['peft']['padding']:.0%} padding "
                f"| {case['dtype']}, {case['dropout']:g} | {SYSTEMS[system]} | {ratio(step)} | {ratio(search)} "
                f"| {r['tokens_per_s']:,.0f} | {format(r['peak_bytes'] / 2**20, '.0f') if r['peak_bytes'] else ''} | {share:.1%} |"
            )
    return "\n".join(lines)


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--e2e", metavar="FILE", help="E2E's trainset.csv, for GPT-2")
    p.add_argument("--models", nargs="+", choices=[*ROBERTA, *GPT2], default=["roberta-base", "roberta-large", "gpt2-medium"])
    p.add_argument("--device", default="cuda", help="cuda or cpu (default cuda)")
    p.add_argument("--batch-sizes", type=int, nargs="+", default=[16, 32])
    p.add_argument("--batches", type=int, default=22, help="batches, the first two for warm-up (default 22)")
    p.add_argument("--dtypes", nargs="+", choices=("bfloat16", "float32"), default=["bfloat16", "float32"])
    p.add_argument("--dropout", type=float, nargs="+", default=[0, 0.1], help="on both sides (default 0 0.1)")
    p.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="PEFT always runs")
    args = p.parse_args()
    if args.worker:
        return args
    if args.batches <= WARM_UP:
        p.error(f"--batches must be more than {WARM_UP}")
    if not (args.sst2 or args.mrpc or args.e2e):
        p.error("--sst2, --mrpc or --e2e is needed")
    if "autolora" in args.systems and not os.access(args.autolora, os.X_OK):
        p.error(f"{args.autolora} is missing: build it with make build")
    return args


def inputs(args, name, folder):
    """Pairs of task and the function that writes rows for batches of a size, after the model was made in folder."""
    if name in GPT2:
        sources = {"E2E": read_e2e(args.e2e)} if args.e2e else {}
        texts = (r[key] for rows in sources.values() for r in rows for key in ("source", "target"))
    else:
        sources = {task: peers.read_rows(file) for task, file in (("SST-2", args.sst2), ("MRPC", args.mrpc)) if file}
        texts = (r[key] for rows in sources.values() for r in rows for key in ("text", "text_pair") if key in r)
    if not sources:
        peers.note(f"{name}: no data for it, left out")
        return {}
    make_model(name, texts, folder)
    return sources


def main(args):
    cases = []
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "model")
            os.mkdir(model)
            sources = inputs(args, name, model)
            # The cases that say most come first: the report of a run that is cut off still has them.
            for dtype, dropout, task, size in itertools.product(args.dtypes, args.dropout, sources, args.batch_sizes):
                wanted = args.batches * size
                if len(sources[task]) < wanted:
                    sys.exit(f"{task}: {len(sources[task])} rows, want {wanted}: lower --batches")
                path = os.path.join(folder, "batches.jsonl")
                peers.write_rows(path, random.Random(args.seed).sample(sources[task], wanted))
                peers.note(f"{name}, {task}, batches of {size}, {dtype}, dropout {dropout:g}")
                measured = peers.in_turn(
                    [s for s in SYSTEMS if s == "peft" or (s in args.systems and not (s == "betty" and name in GPT2))],
                    args.rounds,
                    lambda system: run_system(system, args, name, model, path, size, dtype, dropout),
                    lambda system, r: f"{system}: {r['ms']:.2f} ms",
                )
                peak = peers.run_worker(__file__, ["peak", args.device, dtype], args.threads)
                cases.append({"model": name, "task": task, "batch": size, "dtype": dtype, "dropout": dropout, "peak": peak, **measured})
                peers.save(args, cases)
                print(table(cases[-1:]) if len(cases) == 1 else table(cases[-1:]).split("\n", 2)[2], flush=True)
    for line in sorted({f"{c['peak']['device']}, {c['dtype']}: peak {c['peak']['peak'] / 1e12:.2f} TFLOP/s ({c['peak']['source']})" for c in cases}):
        print("\n" + line)


if __name__ == "__main__":
    peers.start(arguments, worker, main)
