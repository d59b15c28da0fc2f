#!/usr/bin/env python3
"""Times PEFT with transformers and autolora in turn at a language model: a LoRA step, and beam search.

    python -m venv venv && venv/bin/pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2
    venv/bin/python scripts/bench_decoder.py --model MODEL_FOLDER --e2e e2e/trainset.csv

What is compared
  - One training step (forward, backward, AdamW, gradients cleared) of LoRA, r = 8, on query and value, with the loss on
    the tokens of the targets only; autolora's exact second-order search iteration (k = 8) is set against PEFT's LoRA
    step. On GPT-2, PEFT's LoRA is on the whole of c_attn, for it has no other.
  - Beam search for the same sources by the rules of transformers.generate, with the same beams. No token ends a text, so
    that every one has MAX_NEW_TOKENS; tokens are those of the best text for each source.
  - The same batches: BATCHES x BATCH_SIZE rows drawn by --seed, in file order for the steps; for beam search sorted by
    the length of the source, which is what autolora does. transformers gets them padded to the longest, on the right for
    training and on the left for generation, tokenised outside the clock.
  - The same number of threads, float32, dropout 0. Each run is a process of its own. The systems take turns within a
    round, and the order turns with the round. The first two batches of a run are warm-up; a run gives the median of the
    others, and the table the median over rounds.
"""

import csv
import os
import random
import statistics
import tempfile
import time

import peers
from bench_peers import RANK, WARM_UP, peak_memory


def read_rows(path):
    """Rows of E2E's official CSV, as {"source", "target"}."""
    with open(path, encoding="utf-8-sig", newline="") as f:
        return [{"source": row["mr"], "target": row["ref"]} for row in csv.DictReader(f)]


def chunks(rows, size):
    return [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]


def padded(torch, sequences, value, left=False):
    longest = max(map(len, sequences))
    fill = lambda s: [value] * (longest - len(s))
    return torch.tensor([fill(s) + s if left else s + fill(s) for s in sequences])


def peft_worker(model_dir, path, batch_size, beams, max_new, threads):
    """One run of PEFT and transformers in this process; what `autolora bench --json` would say of it."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    end = tokenizer.eos_token_id
    config = transformers.AutoConfig.from_pretrained(model_dir)
    for key in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout"):
        if hasattr(config, key):
            setattr(config, key, 0.0)
    base = transformers.AutoModelForCausalLM.from_pretrained(model_dir, config=config, dtype=torch.float32)
    ids = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    rows = [(ids(r["source"]) + [end], ids(" " + r["target"]) + [end]) for r in peers.load_rows(path)]

    prompts = sorted((source for source, _ in rows[WARM_UP * batch_size :]), key=len)
    first = sorted((source for source, _ in rows[: WARM_UP * batch_size]), key=len)
    settings = transformers.GenerationConfig(
        num_beams=beams, max_new_tokens=max_new, eos_token_id=None, pad_token_id=end, length_penalty=1.0, do_sample=False
    )

    def write(prompts):
        tokens = 0
        for part in chunks(prompts, batch_size):
            batch = padded(torch, part, end, left=True)
            lengths = torch.tensor([len(p) for p in part])
            mask = (torch.arange(batch.shape[1]) >= (batch.shape[1] - lengths)[:, None]).long()
            with torch.inference_mode():
                tokens += base.generate(batch, attention_mask=mask, generation_config=settings)[:, batch.shape[1] :].numel()
        return tokens

    base.eval()
    write(first)
    began = time.perf_counter()
    tokens = write(prompts)
    decode = time.perf_counter() - began

    targets = ["c_attn"] if config.model_type == "gpt2" else ["q_proj", "v_proj"]
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, target_modules=targets)).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    seconds, real, total = [], 0, 0
    for part in chunks(rows, batch_size):
        inputs = padded(torch, [source + target for source, target in part], end)
        labels = padded(torch, [[-100] * len(source) + target for source, target in part], -100)
        mask = padded(torch, [[1] * len(source + target) for source, target in part], 0)
        real, total = real + int(mask.sum()), total + mask.numel()
        start = time.perf_counter()
        model(input_ids=inputs, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    return {
        "lora_step_ms": 1e3 * statistics.median(seconds[WARM_UP:]),
        "peak_memory_bytes": peak_memory(),
        "padding": 1 - real / total,
        "decode_tokens_per_s": tokens / decode,
        "decode_tokens": tokens,
    }


def run_system(system, args, path):
    if system == "autolora":
        r = peers.run_json([
            args.autolora, "bench", "--model", args.model, "--input", path, "--batch-size", str(args.batch_size), "--max-length", "512",
            "--dropout", "0", "--beams", str(args.beams), "--beam-rules", "transformers", "--length-penalty", "1", "--no-repeat-ngram", "0",
            "--max-new-tokens", str(args.max_new_tokens), "--threads", str(args.threads), "--json",
        ], args.threads)  # fmt: skip
        decoded = r.pop("decoded")
        return {**r, "decode_tokens_per_s": decoded["tokens_per_s"], "decode_tokens": decoded["tokens"]}
    spec = [args.model, path, args.batch_size, args.beams, args.max_new_tokens, args.threads]
    return peers.run_worker(__file__, spec, args.threads)


def table(args, measured):
    """Each number of autolora also as a multiple of that of PEFT and transformers."""
    peft, own = measured["median"]["peft"], measured["median"]["autolora"]
    ratio = lambda value, unit: f"{value:.0f} = {value / unit:.2f}"
    unit = peft["lora_step_ms"]
    mib = lambda m: f"{m['peak_memory_bytes'] / 2**20:.0f}"
    return peers.table([
        ["", "LoRA step ms", "search step ms", f"beam {args.beams} tokens/s", "tokens", "peak MiB", "padding"],
        ["PEFT", f"{unit:.0f}", "", f"{peft['decode_tokens_per_s']:.1f}", str(peft["decode_tokens"]), mib(peft), f"{peft['padding']:.0%}"],
        [
            "autolora", ratio(own["lora_step_ms"], unit), ratio(own["search_step_ms"], unit),
            f"{own['decode_tokens_per_s']:.1f} = {own['decode_tokens_per_s'] / peft['decode_tokens_per_s']:.2f}",
            str(own["decode_tokens"]), mib(own), "",
        ],
    ])  # fmt: skip


def arguments():
    p = peers.parser(__doc__)
    p.add_argument("--e2e", metavar="FILE", help="E2E's trainset.csv")
    p.add_argument("--batches", type=int, default=8, help="batches, the first two for warm-up (default 8)")
    p.add_argument("--beams", type=int, default=10, help="default 10")
    p.add_argument("--max-new-tokens", type=int, default=32, help="default 32")
    args = p.parse_args()
    if not args.worker:
        if not args.model or not args.e2e:
            p.error("--model and --e2e are needed")
        if args.batches <= WARM_UP:
            p.error(f"--batches must be more than {WARM_UP}")
    return args


def main(args):
    rows, wanted = read_rows(args.e2e), args.batches * args.batch_size
    if len(rows) < wanted:
        raise SystemExit(f"{args.e2e}: {len(rows)} rows, want {wanted}: lower --batches")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "e2e.jsonl")
        peers.write_rows(path, random.Random(args.seed).sample(rows, wanted))
        measured = peers.in_turn(
            ["peft", "autolora"],
            args.rounds,
            lambda system: run_system(system, args, path),
            lambda system, r: f"{system}: {r['lora_step_ms']:.0f} ms per step, {r['decode_tokens_per_s']:.1f} tokens/s",
        )
    print(table(args, measured))
    peers.save(args, [measured])


if __name__ == "__main__":
    peers.start(arguments, peft_worker, main)
