"""What transformers computes and generates with real weights: stories260K, SmolLM2-135M and Gemma 3 270M.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2
    python testdata/nn/make_real_decoders.py STORIES SMOLLM2     # the folders of stories260k.py and fetch_smollm2.sh
    python testdata/nn/make_real_decoders.py GEMMA3              # of fetch_gemma3.sh; torch 2.15.0, transformers 5.24.0

generate-stories260K.json   as make_generate.py's files, with `texts`, the prompts before they were tokenised, and in each
                            output its `text`, the new tokens' alone; those `by` lora are of make_generate.lora_search
expected-stories260K.safetensors
  logits [3, 512]           after the last token of each prompt
  loss [3]                  mean cross entropy of each prompt's tokens, the first one given
smollm2.json                one text: `ids`; `loss` likewise; of the logits after its last token their `mean`, standard
                            deviation `std` (of the population), `logsumexp`, the `first` 8, and `top`, the ten largest
                            with their ids; `greedy`, 24 new tokens, and their `text`
gemma3.json                 `texts`, the same of one in English, one in German and one in Japanese
Numbers are of float32 runs; of logits and losses with `.f64` of float64 runs. No choice hangs on rounding, as there.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
from transformers import AutoTokenizer

from decoder_fixture import load
from fixture import HERE, save, setup
from make_generate import case, generate, lora_search, run_transformers, same, shaken, write

TEXTS = ["Once upon a time, there was a little girl named Lily.", "Tim had a red ball. He", "The dog was sad because"]
BEAM = {"length_penalty": 1.0, "early_stopping": False, "no_repeat_ngram_size": 0, "eos_token_id": [1, 2], "max_new_tokens": 40}
CASES = [
    {"num_beams": 1, "max_new_tokens": 60, "eos_token_id": [1, 2], "no_repeat_ngram_size": 0},
    {"num_beams": 1, "max_new_tokens": 60, "eos_token_id": [1, 2], "no_repeat_ngram_size": 4},
    BEAM | {"num_beams": 4},
    BEAM | {"num_beams": 4, "eos_token_id": [13, 426], "early_stopping": True, "no_repeat_ngram_size": 3},
    BEAM | {"num_beams": 10, "eos_token_id": [426], "length_penalty": 0.8, "no_repeat_ngram_size": 4},
]
LORA = {"beam": 10, "length_penalty": 0.8, "no_repeat_ngram_size": 4, "eval_len": 40, "eos_token_id": [426]}
SMOLLM2 = "Gravity is"
GEMMA3 = ["The history of bread begins", "Die Hauptstadt von Frankreich ist", "日本で一番高い山は"]


def values(model, ids):
    """Logits after the last token, and the loss."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    return logits[-1], F.cross_entropy(logits[:-1], torch.tensor(ids[1:]))


def stories(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), load(folder, torch.float32)
    prompts = [tokenizer(text).input_ids for text in TEXTS]
    cases = run_transformers(folder, prompts, CASES)
    outputs = lambda model: [[lora_search(model, p, **LORA)] for p in prompts]
    for other in (load(folder, torch.float64), shaken(load(folder, torch.float32), 1), shaken(load(folder, torch.float64), 2)):
        assert same(outputs(model), outputs(other))
    cases.append(case("lora", LORA, outputs(model)))
    for c in cases:
        for prompt, hypotheses in zip(prompts, c["outputs"]):
            for h in hypotheses:
                decode = lambda ids: tokenizer.decode(ids, skip_special_tokens=True)
                h["text"] = decode(prompt + h["ids"])[len(decode(prompt)) :]
        print(c["by"], c["settings"], [o[0]["text"] for o in c["outputs"]])
    write("generate-stories260K", prompts, cases, texts=TEXTS)
    tensors = {}
    for suffix, dtype in (("", torch.float32), (".f64", torch.float64)):
        logits, losses = zip(*(values(load(folder, dtype), p) for p in prompts))
        tensors["logits" + suffix], tensors["loss" + suffix] = torch.stack(logits), torch.stack(losses)
    save("expected-stories260K.safetensors", tensors)


def texts(folder, prompts, ends):
    """What is stored of each prompt."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    all = [{"prompt": prompt, "ids": tokenizer(prompt).input_ids} for prompt in prompts]
    for suffix, dtype in (("", torch.float32), (".f64", torch.float64)):
        model = load(folder, dtype)
        for out in all:
            logits, loss = values(model, out["ids"])
            top = logits.topk(10)
            out |= {
                f"loss{suffix}": loss.item(), f"mean{suffix}": logits.mean().item(), f"std{suffix}": logits.std(correction=0).item(),
                f"logsumexp{suffix}": logits.logsumexp(0).item(), f"first{suffix}": logits[:8].tolist(),
                f"top{suffix}": list(zip(top.indices.tolist(), top.values.tolist())),
            }
            settings = {"num_beams": 1, "max_new_tokens": 24, "eos_token_id": ends, "no_repeat_ngram_size": 0}
            tokens = generate(model, [out["ids"]], settings)[0][0][0]
            assert out.setdefault("greedy", tokens) == tokens
            out["text"] = tokenizer.decode(out["greedy"])
    return all


def write_lines(name, out):
    with open(os.path.join(HERE, name), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in out.items()) + "\n}\n")
    print(json.dumps(out))


def main():
    setup()
    folders = [os.path.abspath(folder) for folder in sys.argv[1:]]
    script = {"script": "testdata/nn/make_real_decoders.py"}
    if len(folders) == 1:
        write_lines("gemma3.json", script | {"texts": texts(folders[0], GEMMA3, [1])})
        return
    stories(folders[0])
    write_lines("smollm2.json", script | texts(folders[1], [SMOLLM2], [2])[0])


if __name__ == "__main__":
    main()
