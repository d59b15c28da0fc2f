#!/usr/bin/env python3
"""Times PEFT, in every way that makes it fast, and autolora in turn on the same batches, and prints ratios of medians.

    python -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 pyarrow
    venv/bin/python scripts/bench_peers.py --model ENCODER --sst2 glue/SST-2/train.tsv --mrpc glue/MRPC/train.tsv
    venv/bin/python scripts/bench_peers.py --model DECODER --e2e e2e/trainset.csv --dropout 0 --batch-size 8

What is compared
  - One training step (forward, backward, AdamW, gradients cleared) of LoRA, r = 8, on query and value, with a trained
    classification head, or in a language model with the loss on the tokens of the targets only; autolora's own exact
    second-order search iteration (k = 8) is set against PEFT's LoRA step. On GPT-2, PEFT's LoRA is on the whole of c_attn,
    for it has no other.
  - The same rows: BATCHES x BATCH_SIZE drawn by --seed, in file order. PEFT pads each batch to its longest row; its batches
    are tokenised and padded beforehand, outside the clock.
  - PEFT's other ways: "sorted" sorts the timed rows by length, so that batches have little padding; "flat" puts a batch of a
    language model's texts into one row without padding, told apart by position_ids (DataCollatorWithFlattening); "autocast"
    is torch.autocast to bfloat16; "bfloat16" is a base loaded in bfloat16 with float32 adapters, PEFT's default; "compile"
    is torch.compile, which sees every batch once before the clock starts, and is left out if it has not ended after LIMIT
    seconds; "adalora" is PEFT's AdaLoRA.
  - "first loss" is the loss of the first batch before any step: it shows that all compute the same.
  - The same number of threads and dropout. `config` is the model's own dropout (hidden and attention), a number replaces
    both; LoRA's own dropout is 0. Attention is transformers' default (sdpa), without a cache in training.
  - Of a language model also beam search for the same sources by the rules of transformers.generate. No token ends a text, so
    that every one has MAX_NEW_TOKENS; sources are sorted by length, which is what autolora does.
  - Each run is a process of its own, so its peak memory (VmHWM) is its own. The systems take turns within a round, and
    the order turns with the round. The first two batches of a run are warm-up; a run gives the median of the others (sorted,
    whose batches differ, their mean), and the table the median over rounds.
"""

import itertools
import os
import random
import statistics
import tempfile
import time

import peers
from peers import RANK, WARM_UP

SYSTEMS = {
    "peft": "PEFT, padded", "sorted": "PEFT, sorted", "flat": "PEFT, flat", "autocast": "PEFT, autocast to bfloat16",
    "bfloat16": "PEFT, bfloat16", "compile": "PEFT, compiled", "adalora": "PEFT's AdaLoRA",
    "autolora": "autolora", "autolora-bfloat16": "autolora, bfloat16",
}  # fmt: skip
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout")


def by_length(rows, lengths, batch_size):
    """The rows of the timed batches sorted by length; their batches come in an order drawn at random."""
    first = WARM_UP * batch_size
    order = sorted(range(first, len(rows)), key=lambda i: lengths[i])
    batches = peers.chunks(order, batch_size)
    random.Random(0).shuffle(batches)
    return rows[:first] + [rows[i] for batch in batches for i in batch]


def text_batches(system, examples, batch_size, end):
    """Batches of (source, target), both lists of ids, for a language model."""
    import torch
    from transformers import DataCollatorWithFlattening

    if system == "sorted":
        examples = by_length(examples, [len(s + t) for s, t in examples], batch_size)
    flat = DataCollatorWithFlattening(return_tensors="pt")
    for part in peers.chunks(examples, batch_size):
        ids, labels = [s + t for s, t in part], [[-100] * len(s) + t for s, t in part]
        if system == "flat":
            batch = flat([{"input_ids": i, "labels": l} for i, l in zip(ids, labels)])
            yield {**batch, "attention_mask": None}, torch.ones_like(batch["input_ids"])
        else:
            mask = peers.padded([[1] * len(i) for i in ids], 0)
            yield {"input_ids": peers.padded(ids, end), "attention_mask": mask, "labels": peers.padded(labels, -100)}, mask


def label_batches(system, rows, batch_size, tokenizer):
    if system == "sorted":
        rows = by_length(rows, [len(tokenizer(r["text"], r.get("text_pair"))["input_ids"]) for r in rows], batch_size)
    for batch in peers.padded_batches(tokenizer, rows, batch_size):
        yield batch, batch["attention_mask"]


def beam_search(model, prompts, batch_size, beams, max_new, end):
    """Tokens of the best texts, and the seconds that they took; the first two batches warm up."""
    import torch
    from transformers import GenerationConfig

    settings = GenerationConfig(
        num_beams=beams, max_new_tokens=max_new, eos_token_id=None, pad_token_id=end, length_penalty=1.0, do_sample=False, use_cache=True
    )
    model.eval()
    for timed in (prompts[: WARM_UP * batch_size], prompts[WARM_UP * batch_size :]):
        began, tokens = time.perf_counter(), 0
        for part in peers.chunks(sorted(timed, key=len), batch_size):
            ids, mask = peers.padded(part, end, left=True), peers.padded([[1] * len(p) for p in part], 0, left=True)
            with torch.inference_mode():
                tokens += model.generate(ids, attention_mask=mask, generation_config=settings)[:, ids.shape[1] :].numel()
    return tokens, time.perf_counter() - began


def peft_worker(system, model_dir, path, batch_size, dropout, threads, beams, max_new):
    """One PEFT run in this process; returns what `autolora bench --json` would say of it."""
    import peft
    import torch
    import transformers

    peers.quiet()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows = peers.load_rows(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    writes = "source" in rows[0]
    config = transformers.AutoConfig.from_pretrained(model_dir, **({} if writes else {"num_labels": 1 + max(r["label"] for r in rows)}))
    for key in DROPOUTS:
        if dropout is not None and hasattr(config, key):
            setattr(config, key, dropout)
    auto = transformers.AutoModelForCausalLM if writes else transformers.AutoModelForSequenceClassification
    base = auto.from_pretrained(model_dir, config=config, dtype=torch.bfloat16 if system == "bfloat16" else torch.float32)
    result = {"versions": f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"}
    if writes:
        end = tokenizer.eos_token_id
        ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"] + [end]
        examples = [(ids(r["source"]), ids(" " + r["target"])) for r in rows]
        if system == "peft" and max_new > 1:
            result["decode_tokens"], seconds = beam_search(base, [s for s, _ in examples], batch_size, beams, max_new, end)
            result["decode_tokens_per_s"] = result["decode_tokens"] / seconds
        base.config.use_cache = False  # as in transformers' Trainer; with one, batches that are flat are not told apart
        batches = list(text_batches(system, examples, batch_size, end))
    else:
        batches = list(label_batches(system, rows, batch_size, tokenizer))

    targets = ["c_attn"] if config.model_type == "gpt2" else ["q_proj", "v_proj"] if writes else ["query", "value"]
    common = {"task_type": "CAUSAL_LM" if writes else "SEQ_CLS", "lora_alpha": 2 * RANK, "lora_dropout": 0.0, "target_modules": targets}
    if system == "adalora":
        adapter = peft.AdaLoraConfig(target_r=RANK, total_step=1000, **common)
    else:
        adapter = peft.LoraConfig(r=RANK, **common)
    model = peft.get_peft_model(base, adapter).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    forward = torch.compile(model) if system == "compile" else model

    def step(n, batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=system == "autocast"):
            loss = forward(**batch).loss
        loss.backward()
        optimizer.step()
        if system == "adalora":
            model.base_model.update_and_allocate(n)
        optimizer.zero_grad()
        return loss

    with torch.no_grad():
        result["loss"] = model.eval()(**batches[0][0]).loss.item()
    model.train()
    for batch, _ in batches if system == "compile" else ():
        step(0, batch)
    seconds = []
    for n, (batch, _) in enumerate(batches):
        start = time.perf_counter()
        step(n, batch)
        seconds.append(time.perf_counter() - start)
    average = statistics.mean if system == "sorted" else statistics.median
    return {
        **result,
        "lora_step_ms": 1e3 * average(seconds[WARM_UP:]),
        "peak_memory_bytes": peers.peak_memory(),
        "padding": 1 - sum(int(mask.sum()) for _, mask in batches[WARM_UP:]) / sum(mask.numel() for _, mask in batches[WARM_UP:]),
    }


def run_system(system, args, task, path, dropout):
    if not system.startswith("autolora"):
        limit = args.limit if system == "compile" else None
        result = peers.run_worker(__file__, [system, args.model, path, args.batch_size, dropout, args.threads, args.beams, args.max_new_tokens], args.threads, limit)
        if result is None:
            peers.note(f"  {SYSTEMS[system]}: has not ended after {limit} s, left out")
        return result
    command = [
        args.autolora, "bench", "--model", args.model, "--input", path, "--batch-size", str(args.batch_size), "--threads", str(args.threads),
        "--dtype", "float32" if system == "autolora" else "bfloat16", "--json",
    ]  # fmt: skip
    if dropout is not None:
        command += ["--dropout", f"{dropout:g}"]
    if task == "E2E":
        beams, max_new = (args.beams, args.max_new_tokens) if system == "autolora" else (1, 1)
        command += [
            "--max-length", "512", "--beams", str(beams), "--max-new-tokens", str(max_new), "--beam-rules", "transformers",
            "--length-penalty", "1", "--no-repeat-ngram", "0",
        ]  # fmt: skip
    r = peers.run_json(command, args.threads)
    decoded = r.pop("decoded", None)
    if decoded and decoded["tokens"] and system == "autolora" and args.max_new_tokens > 1:
        r["decode_tokens_per_s"], r["decode_tokens"] = decoded["tokens_per_s"], decoded["tokens"]
    return r


def table(case):
    """A line for each system; every number also as a multiple of that of PEFT with padded batches."""
    median = case["median"]
    unit = median["peft"]
    head = ["", "padding", "first loss", "LoRA step ms", "search step ms", "beam search tokens/s", "peak MiB"]
    rows = [head]
    for system, m in median.items():
        number = lambda key, unit, form: f"{m[key]:{form}} = {m[key] / unit:.2f}" if key in m else ""
        rows.append([
            SYSTEMS[system], f"{m['padding']:.0%}" if "padding" in m else "", f"{m['loss']:.4f}" if "loss" in m else "",
            number("lora_step_ms", unit["lora_step_ms"], ".0f"), number("search_step_ms", unit["lora_step_ms"], ".0f"),
            number("decode_tokens_per_s", unit.get("decode_tokens_per_s", 1), ".1f"), f"{m['peak_memory_bytes'] / 2**20:.0f}",
        ])  # fmt: skip
    return peers.table(rows)


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--e2e", metavar="FILE", help="E2E's trainset.csv, for a language model")
    p.add_argument("--batches", type=int, default=30, help="batches, the first two for warm-up (default 30)")
    p.add_argument("--dropout", nargs="+", default=["0", "config"], metavar="P", help="cases (default: 0 config)")
    p.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), help="of these; peft always runs (default all)")
    p.add_argument("--limit", type=int, default=600, help="seconds that torch.compile may take (default 600)")
    p.add_argument("--beams", type=int, default=10, help="default 10")
    p.add_argument("--max-new-tokens", type=int, default=32, help="default 32; 1 is without beam search")
    args = peers.parse(p)
    if args.worker:
        return args
    if args.batches <= WARM_UP:
        p.error(f"--batches must be more than {WARM_UP}")
    if args.e2e and (args.sst2 or args.mrpc):
        p.error("--e2e is for a language model, --sst2 and --mrpc are for an encoder")
    try:
        args.dropout = [None if d == "config" else float(d) for d in args.dropout]
    except ValueError:
        p.error("--dropout takes numbers and the word config")
    return args


def main(args):
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        for (task, rows), dropout in itertools.product(peers.samples(args, args.batches, "--batches"), args.dropout):
            path = os.path.join(folder, f"{task}.jsonl")
            peers.write_rows(path, rows)
            name = "config" if dropout is None else f"{dropout:g}"
            peers.note(f"{task}, dropout {name}, {args.threads} threads")
            left_out = ("adalora",) if task == "E2E" else ("flat",)
            measured = peers.in_turn(
                [s for s in SYSTEMS if s not in left_out and (s == "peft" or s in args.systems)],
                args.rounds,
                lambda system: run_system(system, args, task, path, dropout),
                lambda system, r: f"{SYSTEMS[system]}: {r['lora_step_ms']:.1f} ms per step",
            )
            cases.append({"task": task, "dropout": name, "machine": peers.machine(), **measured})
            peers.save(args, cases)
            versions = measured["median"]["peft"]["versions"]
            print(f"{task}, {args.batches - WARM_UP} batches of {args.batch_size}, dropout {name}; {args.threads} threads of {peers.machine()}; {versions}")
            print(table(cases[-1]), flush=True)


if __name__ == "__main__":
    peers.start(arguments, peft_worker, main)
