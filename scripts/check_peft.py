#!/usr/bin/env python3
"""Checks that an adapter folder works in real PEFT, and gives the same numbers.

    check_peft.py ADAPTER_DIR BASE_DIR INPUT.jsonl [--logits FILE | --texts FILE]

ADAPTER_DIR   adapter_config.json and adapter_model.safetensors, as written by
              autolora or by PEFT itself
BASE_DIR      the base model and its tokenizer: a folder or a hub name
INPUT.jsonl   one example a line: {"text": ...}, {"text": ..., "text_pair": ...},
              {"tokens": [...]} for tagging, or {"source": ...} for generation

The adapter is loaded with PeftModel.from_pretrained in float32 on the CPU, and
three things are checked:

1. every tensor of the file arrived in the model with its values, and the model
   has no adapter weight that the file lacks;
2. with --logits, the logits equal those in FILE to --tolerance: JSON lines with
   a "logits" field, as `autolora predict` writes them, in the order of the input;
3. the model after merge_and_unload gives the same logits as before.

Without --logits the logits are printed in that same form instead of compared.
For tagging, the logits are those of each word's first sub-token; for generation
those of the token after the source and the end of text that follows it. There
--texts FILE has, in place of logits, what `autolora predict --beams 1
--beam-rules transformers --no-repeat-ngram 0` wrote, to be the same as PEFT's
greedy search.

Exit status: 0 all equal, 1 a check failed, 2 wrong usage or unreadable files.

    pip install torch transformers peft
"""

import argparse
import json
import pathlib
import sys
import warnings

try:
    import torch
    import transformers
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer
except ModuleNotFoundError as error:
    print(f"check_peft.py: {error}: pip install torch transformers peft", file=sys.stderr)
    sys.exit(2)

MODEL_CLASSES = {
    "SEQ_CLS": AutoModelForSequenceClassification,
    "TOKEN_CLS": AutoModelForTokenClassification,
    "CAUSAL_LM": AutoModelForCausalLM,
}
# In the order of trust: RoBERTa's head has two layers, and the last one counts the labels.
OUTPUT_LAYERS = ("classifier.out_proj.weight", "classifier.weight", "score.weight")
PREFIX = "base_model.model."


class Failure(Exception):
    """A check that failed, with the line to print."""


class Unusable(Exception):
    """Input that cannot be checked at all, with the line to print."""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Load an adapter in real PEFT and check its logits.",
        epilog="Exit status: 0 all equal, 1 a check failed, 2 wrong usage or unreadable files.",
    )
    parser.add_argument("adapter", type=pathlib.Path, metavar="ADAPTER_DIR", help="folder with the adapter")
    parser.add_argument("base", metavar="BASE_DIR", help="base model with its tokenizer: folder or hub name")
    parser.add_argument("input", type=pathlib.Path, metavar="INPUT.jsonl", help="examples, one JSON object a line")
    parser.add_argument("--logits", type=pathlib.Path, metavar="FILE", help="JSON lines to compare with, as `autolora predict` writes them")
    parser.add_argument("--texts", type=pathlib.Path, metavar="FILE", help="JSON lines of generated texts to compare with")
    parser.add_argument("--max-new-tokens", type=int, default=64, metavar="N", help="of --texts (default %(default)s)")
    parser.add_argument("--tolerance", type=float, default=2e-5, help="largest absolute difference allowed (default %(default)s)")
    parser.add_argument("--max-length", type=int, metavar="N", help="cut texts at N tokens (default: what the model can take)")
    return parser.parse_args()


def read_lines(path, fields):
    """Returns the JSON objects of a file, one a line. Each must have one of the fields."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise Unusable(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict) or not row.keys() & fields:
            raise Unusable(f"{path}:{number}: has none of the fields {', '.join(sorted(fields))}")
        rows.append(row)
    return rows


def load_model(adapter, base, weights):
    """Returns the base model with the adapter on it, the head sized by the adapter's own output layer."""
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    task = config.get("task_type")
    if task not in MODEL_CLASSES:
        raise Unusable(f"{adapter}: task_type {task}, this script knows {', '.join(MODEL_CLASSES)}")
    labels = {name.removeprefix(PREFIX): tensor.shape[0] for name, tensor in weights.items()}
    count = next((labels[name] for name in OUTPUT_LAYERS if name in labels), None)
    if count is None and task != "CAUSAL_LM":
        raise Unusable(f"{adapter}: none of {', '.join(OUTPUT_LAYERS)} in the adapter: the number of labels is unknown")
    labels = {} if task == "CAUSAL_LM" else {"num_labels": count}
    model = MODEL_CLASSES[task].from_pretrained(base, dtype=torch.float32, **labels)
    try:
        return PeftModel.from_pretrained(model, adapter).eval()
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"PEFT refuses {adapter}: {error}") from error


def check_weights(model, weights):
    """Raises Failure unless the model's adapter weights are exactly those of the file."""
    # Without this PEFT asks the hub whether the vocabulary was resized.
    loaded = get_peft_model_state_dict(model, save_embedding_layers=False)
    missing = sorted(set(loaded) - set(weights))
    ignored = sorted(set(weights) - set(loaded))
    if missing:
        raise Failure(f"the model has adapter weights that the file lacks: {', '.join(missing)}")
    if ignored:
        raise Failure(f"PEFT ignored tensors of the file: {', '.join(ignored)}")
    for name, tensor in weights.items():
        if not torch.equal(loaded[name].float(), tensor.float()):
            raise Failure(f"{name}: the values in the model are not those of the file")


def position_limit(config):
    """Returns the longest input of a model, in tokens. RoBERTa counts positions from the padding id on."""
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and config.model_type in ("roberta", "xlm-roberta", "camembert"):
        limit -= config.pad_token_id + 1
    return limit


def encode(tokenizer, row, max_length):
    """Returns the model's inputs for one example and, but for whole texts, the rows whose logits count."""
    if "source" in row:
        return {"input_ids": torch.tensor([tokenizer(row["source"])["input_ids"] + [tokenizer.eos_token_id]])}, [-1]
    options = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    if "tokens" not in row:
        return tokenizer(row["text"], row.get("text_pair"), **options), None
    inputs = tokenizer(row["tokens"], is_split_into_words=True, **options)
    words = inputs.word_ids()
    return inputs, [i for i, word in enumerate(words) if word is not None and word not in words[:i]]


@torch.inference_mode()
def compute_logits(model, tokenizer, rows, max_length):
    """Returns one tensor for each example: [labels], or [words, labels] for tagging."""
    logits = []
    for row in rows:
        inputs, first = encode(tokenizer, row, max_length)
        out = model(**inputs).logits[0]
        logits.append(out if first is None else out[first])
    return logits


@torch.inference_mode()
def generate(model, tokenizer, rows, max_new_tokens):
    """Returns the text of a greedy search for each source, with single spaces."""
    texts = []
    for row in rows:
        inputs, _ = encode(tokenizer, row, None)
        new = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        text = tokenizer.decode(new[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        texts.append(" ".join(text.split()))
    return texts


def largest_difference(got, want, what):
    """Returns the largest absolute difference of two lists of tensors. Shapes must agree, and NaN equals nothing."""
    if len(got) != len(want):
        raise Failure(f"{what}: {len(want)} rows, PEFT gives {len(got)}")
    worst = 0.0
    for number, (a, b) in enumerate(zip(got, want), 1):
        if a.shape != b.shape:
            raise Failure(f"{what}, row {number}: shape {list(b.shape)}, PEFT gives {list(a.shape)}")
        if not (a.isfinite().all() and b.isfinite().all()):
            raise Failure(f"{what}, row {number}: not finite")
        worst = max(worst, (a.double() - b.double()).abs().max().item() if a.numel() else 0.0)
    return worst


def check(args):
    rows = read_lines(args.input, {"text", "tokens", "source"})
    if not rows:
        raise Unusable(f"{args.input}: no examples")
    weights = load_file(args.adapter / "adapter_model.safetensors")
    model = load_model(args.adapter, args.base, weights)
    check_weights(model, weights)
    print(f"{len(weights)} tensors arrived in the model", file=sys.stderr)

    tokenizer = AutoTokenizer.from_pretrained(args.base)
    letters = tokenizer.backend_tokenizer.pre_tokenizer
    if hasattr(letters, "add_prefix_space") and any("tokens" in row for row in rows):
        # AutoTokenizer's add_prefix_space=True does it in some classes of tokenizers alone.
        letters.add_prefix_space = tokenizer.add_prefix_space = True
    limits = [tokenizer.model_max_length, position_limit(AutoConfig.from_pretrained(args.base)), args.max_length]
    max_length = min(limit for limit in limits if limit is not None)

    logits = compute_logits(model, tokenizer, rows, max_length)
    failures = []
    if args.texts is not None:
        want = [row["text"] for row in read_lines(args.texts, {"text"})]
        got = generate(model, tokenizer, rows, args.max_new_tokens)
        same = sum(a == b for a, b in zip(got, want))
        print(f"texts against {args.texts}: {same} of {len(got)} are the same", file=sys.stderr)
        if got != want:
            failures.append(f"{len(want)} texts, of which {same} are PEFT's {len(got)}")
    elif args.logits is None:
        for row in logits:
            print(json.dumps({"logits": row.tolist()}))
    else:
        want = [torch.tensor(row["logits"], dtype=torch.float64) for row in read_lines(args.logits, {"logits"})]
        failures += report("logits against " + str(args.logits), logits, want, args.tolerance)
    merged = model.merge_and_unload()
    failures += report("logits after merge_and_unload", logits, compute_logits(merged, tokenizer, rows, max_length), args.tolerance)
    if failures:
        raise Failure("; ".join(failures))


def report(what, got, want, tolerance):
    """Prints how far two lists of logits are apart, and returns a list with the failure, if it is one."""
    worst = largest_difference(got, want, what)
    line = f"{what}: {len(got)} rows, largest difference {worst:.3g}, tolerance {tolerance:.3g}"
    print(line, file=sys.stderr)
    return [] if worst <= tolerance else [line]


def main():
    args = parse_arguments()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
    transformers.logging.set_verbosity_error()  # that the head is new is known: the adapter brings it
    transformers.logging.disable_progress_bar()
    try:
        check(args)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    except (Unusable, OSError, SafetensorError) as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    print("OK", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
