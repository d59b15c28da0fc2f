#!/usr/bin/env python3
"""Times a whole AutoLoRA run and a whole AdaLoRA run of PEFT in turn on the same data, and prints their ratio.

    python -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow
    venv/bin/python scripts/bench_adalora.py --model MODEL_FOLDER \\
        --sst2 glue/SST-2/train.tsv --mrpc glue/MRPC/train.tsv

What is compared
  - PEFT's AdaLoRA: STEPS training steps, with AdamW, the schedule of the learning rate, update_and_allocate and the
    orthogonality term, from rank 8 to 4 on query and value, with a trained classification head.
  - `autolora run`: an exact second-order search over as many epochs, which is STEPS/2 iterations, for each takes a batch
    of either half of the data, and then STEPS training steps at the ranks found (k = 8).
  - `autolora train --method adalora`: the same AdaLoRA, STEPS steps.
  - One training file: STEPS x BATCH_SIZE rows drawn by --seed, so that STEPS steps are one epoch. Every system shuffles
    them for itself. PEFT's batches are tokenised and padded to their longest row beforehand, outside the clock.
  - The same number of threads, float32, and dropout in the model; LoRA's own dropout is 0. PEFT's attention is
    transformers' default (sdpa).
  - Each run is a process of its own. The systems take turns within a round, and the order turns with the round. The
    table gives medians over rounds: of the time in the training loops alone, and of the whole process, which loads a
    library, the model and the data too.
"""

import json
import os
import random
import tempfile
import time

import peers

INIT_RANK, TARGET_RANK = 8, 4  # of AdaLoRA; the first is the search's k
LORA_ALPHA = 16
LR = 1e-3
WARM_UP, T_INIT, T_FINAL, DELTA_T = 0.06, 0.1, 0.3, 10  # shares of the steps; steps from one allocation to the next
EVALUATED = 32  # rows that autolora scores at the end: it has to score some
SYSTEMS = {"peft": "PEFT AdaLoRA", "autolora": "AutoLoRA", "adalora": "autolora's AdaLoRA"}


def peft_worker(model_dir, path, batch_size, dropout, threads):
    """One AdaLoRA training of PEFT in this process, an epoch of the rows in path; returns the seconds of its loop."""
    import torch
    import transformers
    from peft import AdaLoraConfig, get_peft_model

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows = peers.load_rows(path)
    random.Random(0).shuffle(rows)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    batches = list(peers.padded_batches(tokenizer, rows, batch_size, max_length=128))

    config = transformers.AutoConfig.from_pretrained(model_dir, num_labels=1 + max(r["label"] for r in rows))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    base = transformers.AutoModelForSequenceClassification.from_pretrained(model_dir, config=config)
    steps = len(batches)
    adapter = AdaLoraConfig(
        task_type="SEQ_CLS", target_modules=["query", "value"], lora_alpha=LORA_ALPHA, lora_dropout=0.0,
        init_r=INIT_RANK, target_r=TARGET_RANK, tinit=round(T_INIT * steps), tfinal=round(T_FINAL * steps),
        deltaT=DELTA_T, total_step=steps,
    )
    model = get_peft_model(base, adapter).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LR, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, round(WARM_UP * steps), steps)

    start = time.perf_counter()
    for n, b in enumerate(batches):
        model(**b).loss.backward()
        optimizer.step()
        schedule.step()
        model.base_model.update_and_allocate(n)
        optimizer.zero_grad()
    return {"loop": time.perf_counter() - start, "steps": {"train": steps}}


def autolora_command(system, args, path, out):
    pairs = "text_pair" in peers.load_rows(path)[0]
    command = [args.autolora, *(["run"] if system == "autolora" else ["train", "--method", "adalora"])]
    command += [
        "--model", args.model, "--out", out, "--train", path, "--dev", path + ".dev.jsonl", "--kind", "classification",
        "--text", "text,text_pair" if pairs else "text", "--label", "label", "--steps", str(args.steps), "--lr", str(LR),
        "--lora-alpha", str(LORA_ALPHA), "--batch-size", str(args.batch_size), "--dropout", f"{args.dropout:g}",
        "--warmup", str(WARM_UP), "--threads", str(args.threads), "--save-every", "0",
    ]  # fmt: skip
    if system == "autolora":
        return command + ["--k", str(INIT_RANK), "--search-steps", str(args.steps // 2), "--search-lr", str(LR)]
    return command + [
        "--adalora-init-rank", str(INIT_RANK), "--adalora-target-rank", str(TARGET_RANK), "--adalora-t-init",
        str(T_INIT), "--adalora-t-final", str(T_FINAL), "--adalora-delta-t", str(DELTA_T),
    ]  # fmt: skip


def run_system(system, args, path):
    """One run in a process of its own: seconds of its loops, of the whole process, and its steps."""
    began = time.perf_counter()
    if system == "peft":
        spec = [args.model, path, args.batch_size, args.dropout, args.threads]
        result = peers.run_worker(__file__, spec, args.threads)
    else:
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "out")
            peers.run_json([*autolora_command(system, args, path, out), "--json"], args.threads)
            with open(os.path.join(out, "results.json"), encoding="utf-8") as f:
                results = json.load(f)
        seconds = results["seconds"]
        result = {"loop": seconds["search"] + seconds["train"], "steps": results["steps"], **seconds}
    return {**result, "process": time.perf_counter() - began}


def table(cases):
    """Two lines per task; every time also as a multiple of PEFT's AdaLoRA."""
    rows = [["task", "seconds of", *SYSTEMS.values()]]
    for case in cases:
        for key, name in (("loop", "search and training"), ("process", "the whole process")):
            unit = case["median"]["peft"][key]
            times = [case["median"][system][key] for system in SYSTEMS]
            rows.append([case["task"], name, f"{unit:.1f}", *(f"{t:.1f} = {t / unit:.2f}" for t in times[1:])])
    return peers.table(rows)


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--steps", type=int, default=80, help="training steps (default 80); an even number")
    p.add_argument("--dropout", type=float, default=0.1, help="of the model (default 0.1)")
    args = peers.parse(p)
    if args.steps < 4 or args.steps % 2:
        p.error(f"--steps: got {args.steps}, want an even number of at least 4")
    return args


def main(args):
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for task, rows in peers.samples(args, args.steps, "--steps"):
            path = os.path.join(folder, f"{task}.jsonl")
            peers.write_rows(path, rows)
            peers.write_rows(path + ".dev.jsonl", rows[:EVALUATED])
            peers.note(f"{task}, {args.steps} steps, dropout {args.dropout:g}, {args.threads} threads")
            measured = peers.in_turn(
                list(SYSTEMS),
                args.rounds,
                lambda system: run_system(system, args, path),
                lambda system, r: f"{SYSTEMS[system]}: {r['loop']:.1f} s of {r['process']:.1f} s, steps {r['steps']}",
            )
            cases.append({"task": task, **measured})
    print(table(cases))
    peers.save(args, cases)


if __name__ == "__main__":
    peers.start(arguments, peft_worker, main)
