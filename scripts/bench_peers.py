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

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

WARM_UP = 2
RANK = 8


def read_rows(path):
    """Rows of an SST-2 or MRPC file, official TSV or Hugging Face parquet, as {"text", ["text_pair",] "label"}."""
    if path.endswith(".parquet"):
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        with open(path, encoding="utf-8-sig", newline="") as f:
            rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    forms = (("sentence", None, "label"), ("sentence1", "sentence2", "label"), ("#1 String", "#2 String", "Quality"))
    for text, pair, label in forms:
        if rows and text in rows[0] and label in rows[0]:
            return [
                {"text": r[text], **({"text_pair": r[pair]} if pair else {}), "label": int(r[label])} for r in rows
            ]
    sys.exit(f"{path}: not an SST-2 or MRPC file with labels: columns {list(rows[0]) if rows else 'none'}")


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
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    batches = []
    for start in range(0, len(rows) - batch_size + 1, batch_size):
        part = rows[start : start + batch_size]
        pairs = [r["text_pair"] for r in part] if "text_pair" in part[0] else None
        b = tokenizer([r["text"] for r in part], pairs, padding=True, truncation=True, return_tensors="pt")
        batches.append({**b, "labels": torch.tensor([r["label"] for r in part])})

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


def run_json(command, threads):
    """Runs a command that prints one JSON object on stdout."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    if done.returncode != 0 or "{" not in done.stdout:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout[done.stdout.index("{") :])


def run_system(system, args, path, dropout):
    if system == "autolora":
        command = [
            args.autolora, "bench", "--model", args.model, "--input", path, "--batch-size", str(args.batch_size),
            "--dtype", args.dtype, "--threads", str(args.threads), "--json",
        ]
        return run_json(command + ([] if dropout is None else ["--dropout", f"{dropout:g}"]), args.threads)
    spec = [system, args.model, path, args.batch_size, args.dtype, dropout, args.threads]
    return run_json([sys.executable, os.path.abspath(__file__), "--worker", json.dumps(spec)], args.threads)


def measure(systems, args, path, dropout):
    """Every system's runs, one per round, and the median of each of their numbers."""
    runs = {system: [] for system in systems}
    for n in range(args.rounds):
        turn = n % len(systems)
        for system in systems[turn:] + systems[:turn]:
            runs[system].append(run_system(system, args, path, dropout))
            print(f"  round {n + 1}, {system}: {runs[system][-1]['lora_step_ms']:.1f} ms per step", file=sys.stderr)
    medians = {}
    for system, results in runs.items():
        medians[system] = {
            key: statistics.median(r[key] for r in results) if isinstance(value, (int, float)) else value
            for key, value in results[0].items()
        }
    return {"median": medians, "runs": runs}


def table(cases):
    """One line per task and dropout; every time also as a multiple of PEFT's LoRA step."""
    head = ["task", "dropout", "padding", "PEFT LoRA", "PEFT AdaLoRA", "LoRA step", "search step", "PEFT MiB", "MiB"]
    rows = []
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
    keep = [i for i in range(len(head)) if any(row[i] for row in rows)]
    width = {i: max(len(row[i]) for row in [head, *rows]) for i in keep}
    return "\n".join("  ".join(row[i].rjust(width[i]) for i in keep) for row in [head, *rows])


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", help="folder with config.json, safetensors and tokenizer")
    p.add_argument("--sst2", metavar="FILE", help="SST-2 rows, TSV or parquet")
    p.add_argument("--mrpc", metavar="FILE", help="MRPC rows, TSV or parquet")
    p.add_argument("--batches", type=int, default=30, help="batches, the first two for warm-up (default 30)")
    p.add_argument("--batch-size", type=int, default=16)
    p.add_argument("--seed", type=int, default=0, help="of the choice of rows (default 0)")
    p.add_argument("--rounds", type=int, default=3, help="runs of each system per case (default 3)")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--dropout", nargs="+", default=["0", "config"], metavar="P", help="cases (default: 0 config)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both (default: all cores)")
    p.add_argument("--autolora", default="bin/autolora", help="the binary (default bin/autolora)")
    p.add_argument("--adalora", action="store_true", help="time PEFT's AdaLoRA step too")
    p.add_argument("--peft-only", action="store_true", help="without autolora")
    p.add_argument("--json", metavar="FILE", help="also write everything here")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker:
        return args
    if not args.model or not (args.sst2 or args.mrpc):
        p.error("--model and at least one of --sst2, --mrpc are needed")
    if args.batches <= WARM_UP:
        p.error(f"--batches must be more than {WARM_UP}")
    if not args.peft_only and not os.access(args.autolora, os.X_OK):
        p.error(f"{args.autolora} is missing: build it with make build, or give --peft-only")
    try:
        args.dropout = [None if d == "config" else float(d) for d in args.dropout]
    except ValueError:
        p.error("--dropout takes numbers and the word config")
    return args


def main():
    args = arguments()
    if args.worker:
        print(json.dumps(peft_worker(*json.loads(args.worker))))
        return
    if os.getloadavg()[0] > 0.5:
        print(f"load average {os.getloadavg()[0]:.1f}: other programs run, the figures will be off", file=sys.stderr)
    systems = ["lora"] + ["adalora"] * args.adalora + ["autolora"] * (not args.peft_only)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for task, source in (("SST-2", args.sst2), ("MRPC", args.mrpc)):
            if not source:
                continue
            rows, wanted = read_rows(source), args.batches * args.batch_size
            if len(rows) < wanted:
                sys.exit(f"{source}: {len(rows)} rows, want {wanted}: lower --batches")
            path = os.path.join(folder, f"{task}.jsonl")
            with open(path, "w", encoding="utf-8") as f:
                for row in random.Random(args.seed).sample(rows, wanted):
                    f.write(json.dumps(row, ensure_ascii=False) + "\n")
            for dropout in args.dropout:
                name = "config" if dropout is None else f"{dropout:g}"
                print(f"{task}, dropout {name}, {args.dtype}, {args.threads} threads", file=sys.stderr)
                cases.append({"task": task, "dropout": name, **measure(systems, args, path, dropout)})
    print(table(cases))
    if args.json:
        with open(args.json + ".tmp", "w") as f:
            json.dump({"settings": vars(args), "cases": cases}, f, indent=2)
        os.replace(args.json + ".tmp", args.json)


if __name__ == "__main__":
    try:
        main()
    except OSError as e:
        sys.exit(f"{sys.argv[0]}: {e}")
