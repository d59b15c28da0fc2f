#!/usr/bin/env python3
"""Times whole trainings, searches and choices of settings in turn on the same data, in PEFT's LoRA trainings.

    python -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow
    venv/bin/python scripts/bench_cost.py --model MODEL_FOLDER \\
        --sst2 glue/SST-2/train.tsv --mrpc glue/MRPC/train.tsv

What is compared
  - "PEFT's LoRA": STEPS training steps of rank 4 on query and value, with a trained classification head, AdamW and the
    schedule of the learning rate. The unit of all others.
  - "PEFT's AdaLoRA": the same with update_and_allocate and the orthogonality term, from rank 8 to 4.
  - "LoRA" and "AdaLoRA": the same of this program (`autolora train`).
  - "AutoLoRA": `autolora run`, an exact second-order search over as many epochs, which is STEPS/2 iterations, for each takes
    a batch of either half of the data, and then STEPS training steps at the ranks found (k = 8).
  - "LoRA, rate chosen": `autolora train --lr auto`. "tune": `autolora tune`: rate, targets and rank; both at their defaults.
  - One training file: STEPS x BATCH_SIZE rows drawn by --seed, so that STEPS steps are one epoch. Every system shuffles
    them for itself, by the number of the round. PEFT's batches are tokenised and padded to their longest row beforehand,
    outside the clock.
  - The held-out loss is the mean of the cross entropy over HELD_OUT other rows, the same for all. With --every N, PEFT's and
    this program's LoRA compute it every N steps, and the second table has the seconds of training after which it was first
    at or below a value, the mean of its rounds: time to a result, and not only time per step. Evaluations are outside the
    clock there and in the first table.
  - The same number of threads, dropout, learning rate, warm-up and linear decay. Each run is a process of its own. The
    systems take turns within a round, and the order turns with the round; times are medians over rounds. Loading the
    library, the model and the data is left out.
"""

import json
import os
import random
import statistics
import tempfile
import time

import peers

INIT_RANK, TARGET_RANK = 8, 4  # of AdaLoRA; the first is the search's k, the second LoRA's rank
LORA_ALPHA = 16
WARM_UP, T_INIT, T_FINAL, DELTA_T = 0.06, 0.1, 0.3, 10  # shares of the steps; steps from one allocation to the next
SYSTEMS = {
    "peft": "PEFT's LoRA", "peft-adalora": "PEFT's AdaLoRA", "lora": "LoRA", "adalora": "AdaLoRA", "autolora": "AutoLoRA",
    "rate": "LoRA, rate chosen", "tune": "tune",
}  # fmt: skip


def peft_worker(system, model_dir, path, batch_size, lr, dropout, every, seed, threads):
    """One training of PEFT in this process, an epoch of the rows in path; returns the seconds of its loop."""
    import torch
    import transformers
    from peft import AdaLoraConfig, LoraConfig, get_peft_model

    peers.quiet()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rows = peers.load_rows(path)
    random.Random(seed).shuffle(rows)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    batches = list(peers.padded_batches(tokenizer, rows, batch_size, max_length=128))
    held_out = sorted(peers.load_rows(path + ".dev.jsonl"), key=lambda r: len(r["text"] + r.get("text_pair", "")))
    held_out = [*peers.padded_batches(tokenizer, held_out, batch_size, max_length=128)]

    config = transformers.AutoConfig.from_pretrained(model_dir, num_labels=1 + max(r["label"] for r in rows))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    base = transformers.AutoModelForSequenceClassification.from_pretrained(model_dir, config=config)
    steps = len(batches)
    common = {"task_type": "SEQ_CLS", "target_modules": ["query", "value"], "lora_alpha": LORA_ALPHA, "lora_dropout": 0.0}
    if system == "peft-adalora":
        adapter = AdaLoraConfig(
            init_r=INIT_RANK, target_r=TARGET_RANK, tinit=round(T_INIT * steps), tfinal=round(T_FINAL * steps), deltaT=DELTA_T,
            total_step=steps, **common,
        )  # fmt: skip
    else:
        adapter = LoraConfig(r=TARGET_RANK, **common)
    model = get_peft_model(base, adapter).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, round(WARM_UP * steps), steps)

    def evaluate():
        model.eval()
        with torch.inference_mode():
            total = sum(torch.nn.functional.cross_entropy(model(**b).logits, b["labels"], reduction="sum").item() for b in held_out)
        model.train()
        return total / sum(len(b["labels"]) for b in held_out)

    seconds, curve = 0.0, []
    for n, b in enumerate(batches):
        start = time.perf_counter()
        model(**b).loss.backward()
        optimizer.step()
        schedule.step()
        if system == "peft-adalora":
            model.base_model.update_and_allocate(n)
        optimizer.zero_grad()
        seconds += time.perf_counter() - start
        if n + 1 == steps or every and (n + 1) % every == 0 and system == "peft":
            curve.append([seconds, evaluate()])
    return {"train": seconds, "seconds": seconds, "loss": curve[-1][1], "curve": curve}


def autolora_command(system, args, path, out, seed):
    pairs = "text_pair" in peers.load_rows(path)[0]
    verb = {"autolora": ["run"], "tune": ["tune"]}.get(system, ["train", "--method", "adalora" if system == "adalora" else "lora"])
    command = [
        args.autolora, *verb, "--model", args.model, "--out", out, "--train", path, "--dev", path + ".dev.jsonl", "--kind",
        "classification", "--text", "text,text_pair" if pairs else "text", "--label", "label", "--steps", str(args.steps),
        "--batch-size", str(args.batch_size), "--dropout", f"{args.dropout:g}", "--warmup", str(WARM_UP), "--seed", str(seed),
        "--threads", str(args.threads), "--save-every", "0",
    ]  # fmt: skip
    if system == "tune":
        return command
    command += ["--lora-alpha", str(LORA_ALPHA), "--lr", "auto" if system == "rate" else str(args.lr)]
    if system == "autolora":
        return command + ["--k", str(INIT_RANK), "--search-steps", str(args.steps // 2), "--search-lr", str(args.lr)]
    if system == "adalora":
        return command + [
            "--adalora-init-rank", str(INIT_RANK), "--adalora-target-rank", str(TARGET_RANK), "--adalora-t-init",
            str(T_INIT), "--adalora-t-final", str(T_FINAL), "--adalora-delta-t", str(DELTA_T),
        ]  # fmt: skip
    return command + ["--rank", str(TARGET_RANK)] + (["--eval-every", str(args.every)] if args.every and system == "lora" else [])


def run_system(system, args, path, seed):
    """One run in a process of its own: seconds of its loops, held-out loss, and how that fell."""
    if system.startswith("peft"):
        spec = [system, args.model, path, args.batch_size, args.lr, args.dropout, args.every, seed, args.threads]
        return peers.run_worker(__file__, spec, args.threads)
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        peers.run_json([*autolora_command(system, args, path, out, seed), "--json"], args.threads)
        with open(os.path.join(out, "results.json"), encoding="utf-8") as f:
            results = json.load(f)
        records = peers.load_rows(os.path.join(out, "metrics.jsonl"))
    seconds = results["seconds"]
    choice = seconds.get("tune", 0) + seconds["search"]
    curve = [[r["seconds"], r["val_loss"]] for r in records if r["phase"] == "train" and "val_loss" in r]
    return {"choice": choice, "train": seconds["train"], "seconds": choice + seconds["train"], "loss": results["scores"]["loss"], "curve": curve}


def table(case):
    """A line for each system; its time also as a multiple of a LoRA training of PEFT."""
    rows = [["", "choice s", "training s", "together, in trainings of PEFT", "held-out loss"]]
    unit = case["median"]["peft"]["seconds"]
    for system, m in case["median"].items():
        choice = f"{m['choice']:.1f}" if m.get("choice") else ""
        rows.append([SYSTEMS[system], choice, f"{m['train']:.1f}", f"{m['seconds'] / unit:.2f}", f"{m['loss']:.4f}"])
    return peers.table(rows)


def reached(curve, loss):
    """The seconds after which a loss is first at or below a value; None if it never is."""
    return next((seconds for seconds, value in curve if value <= loss), None)


def loss_table(case):
    """When PEFT's and this program's LoRA reached losses that both reached in every round."""
    curves = {system: [r["curve"] for r in case["runs"][system]] for system in ("peft", "lora")}
    every = [curve for both in curves.values() for curve in both]
    lowest, highest = max(min(v for _, v in c) for c in every), max(c[0][1] for c in every)
    rows = [["held-out loss", "PEFT's LoRA s", "LoRA s"]]
    for i in range(4):
        loss = highest + (lowest - highest) * (i + 1) / 4
        loss = -(-loss * 1000 // 1) / 1000  # up to the next thousandth, which the highest minimum is not above
        peft, own = (statistics.mean(reached(c, loss) for c in curves[system]) for system in ("peft", "lora"))
        rows.append([f"{loss:.3f}", f"{peft:.1f}", f"{own:.1f} = {own / peft:.2f}"])
    return peers.table(rows)


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--steps", type=int, default=80, help="training steps (default 80); an even number")
    p.add_argument("--lr", type=float, default=1e-3, help="learning rate where it is not chosen (default 1e-3)")
    p.add_argument("--dropout", type=float, default=0.1, help="of the model (default 0.1)")
    p.add_argument("--held-out", type=int, default=512, help="rows for the held-out loss (default 512)")
    p.add_argument("--every", type=int, default=0, help="steps from one held-out loss to the next (default: after the last only)")
    p.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="of these; peft always runs (default all)")
    args = peers.parse(p)
    if args.worker:
        return args
    if args.steps < 4 or args.steps % 2:
        p.error(f"--steps: got {args.steps}, want an even number of at least 4")
    if args.held_out % args.batch_size:
        p.error(f"--held-out: got {args.held_out}, want a multiple of the batch size {args.batch_size}")
    return args


def main(args):
    cases = []
    systems = [s for s in SYSTEMS if s == "peft" or s in args.systems]
    with tempfile.TemporaryDirectory() as folder:
        for task, rows in peers.samples(args, args.steps, "--steps or --held-out", args.held_out):
            path = os.path.join(folder, f"{task}.jsonl")
            peers.write_rows(path, rows[args.held_out :])
            peers.write_rows(path + ".dev.jsonl", rows[: args.held_out])
            about = f"{task}, {args.steps} steps of {args.batch_size}, rate {args.lr:g}, dropout {args.dropout:g}; {args.threads} threads of {peers.machine()}"
            peers.note(about)
            seeds = {system: iter(range(1, args.rounds + 1)) for system in systems}
            measured = peers.in_turn(
                systems,
                args.rounds,
                lambda system: run_system(system, args, path, next(seeds[system])),
                lambda system, r: f"{SYSTEMS[system]}: {r['seconds']:.1f} s, held-out loss {r['loss']:.4f}",
            )
            cases.append({"task": task, "machine": peers.machine(), **measured})
            peers.save(args, cases)
            print(about, table(cases[-1]), sep="\n", flush=True)
            if args.every and "lora" in systems:
                print(loss_table(cases[-1]), flush=True)


if __name__ == "__main__":
    peers.start(arguments, peft_worker, main)
