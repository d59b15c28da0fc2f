#!/usr/bin/env python3
"""Times PEFT and autolora in turn on the same batches and prints ratios of medians.

    python -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow
    venv/bin/python scripts/bench_peers.py --model MODEL_FOLDER \\
        --sst2 glue/SST-2/train.tsv --mrpc glue/MRPC/train.tsv

What is compared
  - One training step (forward, backward, AdamW, gradients cleared) of LoRA, r = 8, on query and value with a trained
    classification head; autolora's own exact second-order search iteration (k = 8) is set against PEFT's LoRA step.
  - The same batches: BATCHES x BATCH_SIZE rows drawn by --seed, in file order. PEFT pads each batch to its longest row.
    Its batches are tokenised and padded beforehand, outside the clock.
  - The same number of threads, dtype and dropout. `config` is the model's own dropout (hidden and attention), a number
    replaces both; LoRA's own dropout is 0. bfloat16 in PEFT is a base loaded in bfloat16 with float32 adapters, which
    is PEFT's default. Attention is transformers' default (sdpa).
  - Each run is a process of its own, so its peak memory (VmHWM) is its own. The systems take turns within a round, and
    the order turns with the round. The first two batches of a run are warm-up; a run gives the median of the others,
    and the table the median over rounds.
"""

import os
import statistics
import tempfile
import time

import peers

WARM_UP = 2
RANK = 8


def peak_memory():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def peft_worker(method, model_dir, path, batch_size, dtype, dropout, threads):
    """One PEFT run in this process; returns what `autolora bench --json` would say of it."""
    import torch
    import transformers
    from peft import AdaLoraConfig, LoraConfig, get_peft_model

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows = peers.load_rows(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    batches = list(peers.padded_batches(tokenizer, rows, batch_size))

    config = transformers.AutoConfig.from_pretrained(model_dir, num_labels=1 + max(r["label"] for r in rows))
    if dropout is not None:
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    base = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_dir, config=config, dtype=getattr(torch, dtype)
    )
    common = {"task_type": "SEQ_CLS", "lora_alpha": 2 * RANK, "lora_dropout": 0.0, "target_modules": ["query", "value"]}
    if method == "adalora":
        adapter = AdaLoraConfig(target_r=RANK, total_step=1000, **common)
    else:
        adapter = LoraConfig(r=RANK, **common)
    model = get_peft_model(base, adapter).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    loaded = peak_memory()

    seconds = []
    for n, b in enumerate(batches):
        start = time.perf_counter()
        model(**b).loss.backward()
        optimizer.step()
        if method == "adalora":
            model.base_model.update_and_allocate(n)
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[WARM_UP:]
    tokens = [int(b["attention_mask"].sum()) for b in batches]
    padded = sum(b["input_ids"].numel() for b in batches)
    return {
        "lora_step_ms": 1e3 * statistics.median(seconds),
        "tokens_per_s": sum(tokens[WARM_UP:]) / sum(seconds),
        "peak_memory_bytes": peak_memory(),
        "loaded_memory_bytes": loaded,
        "padding": 1 - sum(tokens) / padded,
        "batches": len(batches),
        "threads": torch.get_num_threads(),
        "dtype": dtype,
    }


def run_system(system, args, path, dropout):
    if system == "autolora":
        command = [
            args.autolora, "bench", "--model", args.model, "--input", path, "--batch-size", str(args.batch_size),
            "--dtype", args.dtype, "--threads", str(args.threads), "--json",
        ]  # fmt: skip
        return peers.run_json(command + ([] if dropout is None else ["--dropout", f"{dropout:g}"]), args.threads)
    spec = [system, args.model, path, args.batch_size, args.dtype, dropout, args.threads]
    return peers.run_worker(__file__, spec, args.threads)


def table(cases):
    """One line per task and dropout; every time also as a multiple of PEFT's LoRA step."""
    head = ["task", "dropout", "padding", "PEFT LoRA", "PEFT AdaLoRA", "LoRA step", "search step", "PEFT MiB", "MiB"]
    rows = [head]
    for case in cases:
        m = case["median"]
        unit = m["lora"]["lora_step_ms"]
        mib = lambda system: f"{m[system]['peak_memory_bytes'] / 2**20:.0f}" if system in m else ""
        times = lambda system, key: f"{m[system][key]:.1f} ms = {m[system][key] / unit:.2f}" if system in m else ""
        rows.append([
            case["task"], case["dropout"], f"{m['lora']['padding']:.0%}", f"{unit:.1f} ms",
            times("adalora", "lora_step_ms"), times("autolora", "lora_step_ms"), times("autolora", "search_step_ms"),
            mib("lora"), mib("autolora"),
        ])
    return peers.table(rows)


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--batches", type=int, default=30, help="batches, the first two for warm-up (default 30)")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--dropout", nargs="+", default=["0", "config"], metavar="P", help="cases (default: 0 config)")
    p.add_argument("--adalora", action="store_true", help="time PEFT's AdaLoRA step too")
    p.add_argument("--peft-only", action="store_true", help="without autolora")
    args = peers.parse(p)
    if args.batches <= WARM_UP:
        p.error(f"--batches must be more than {WARM_UP}")
    try:
        args.dropout = [None if d == "config" else float(d) for d in args.dropout]
    except ValueError:
        p.error("--dropout takes numbers and the word config")
    return args


def main(args):
    systems = ["lora"] + ["adalora"] * args.adalora + ["autolora"] * (not args.peft_only)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for task, rows in peers.samples(args, args.batches, "--batches"):
            path = os.path.join(folder, f"{task}.jsonl")
            peers.write_rows(path, rows)
            for dropout in args.dropout:
                name = "config" if dropout is None else f"{dropout:g}"
                peers.note(f"{task}, dropout {name}, {args.dtype}, {args.threads} threads")
                measured = peers.in_turn(
                    systems,
                    args.rounds,
                    lambda system: run_system(system, args, path, dropout),
                    lambda system, r: f"{system}: {r['lora_step_ms']:.1f} ms per step",
                )
                cases.append({"task": task, "dropout": name, **measured})
    print(table(cases))
    peers.save(args, cases)


if __name__ == "__main__":
    peers.start(arguments, peft_worker, main)
