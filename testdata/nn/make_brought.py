"""Checkpoints and adapters as people have them, and what transformers and PEFT compute with them.

    pip install torch transformers==5.24.0 peft==0.21.0   # after make_models.py and make_decoders.py
    python testdata/nn/make_brought.py

The models are those of the other scripts with a change that a test makes anew; the adapters are in folders bert-tiny-…

    gpt2-tiny, llama-tied     beside the embedding, to which config.json ties it, another lm_head.weight
    roberta-tiny              a padding token within a text
    bert-tiny-all-linear      PEFT's all-linear, with LoRA on the pooler
    bert-tiny-dense           the target "dense", in an adapter without a task, whose head is the base's
    bert-tiny-saved-pooler    a pooler of its own, in modules_to_save

expected-brought.safetensors has of each NAME.ids [T], a text without padding, and NAME.logits [1, K] or [T, V].
"""

import os
import shutil
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from fixture import HERE, noise, save, setup

HEAD_SEED = 9000


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None]).logits[0]


def another_head(name):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(HERE, name, "config.json"), folder)
        tensors = load_file(os.path.join(HERE, name, "model.safetensors"))
        key = next(k for k in tensors if k.endswith(("wte.weight", "embed_tokens.weight")))
        tensors["lm_head.weight"] = noise(tensors[key].shape, HEAD_SEED, 0.35)
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


def adapter(name, seed, **settings):
    def base():
        return AutoModelForSequenceClassification.from_pretrained(os.path.join(HERE, "bert-tiny"), attn_implementation="eager")

    model = get_peft_model(base(), LoraConfig(r=2, lora_alpha=3, **settings))
    with torch.no_grad():
        for n, (_, p) in enumerate((k, p) for k, p in sorted(model.named_parameters()) if p.requires_grad):
            p.copy_(noise(p.shape, seed + n, 0.3))
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = "bert-tiny"
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    return PeftModel.from_pretrained(base(), folder)


def main():
    setup()
    text = torch.tensor([2, 17, 40, 9, 25, 3])
    tensors = {}

    def expect(name, model, ids):
        row = logits(model, ids)
        tensors[f"{name}.ids"], tensors[f"{name}.logits"] = ids, row if row.dim() == 2 else row[None]

    for name in ("gpt2-tiny", "llama-tied"):
        expect(name, another_head(name), torch.tensor([5, 7, 3, 8, 2]))
    roberta = AutoModelForSequenceClassification.from_pretrained(os.path.join(HERE, "roberta-tiny"), attn_implementation="eager")
    expect("roberta-tiny", roberta, torch.tensor([0, 9, 1, 1, 12, 7, 1, 30, 2]))
    expect("bert-tiny-all-linear", adapter("bert-tiny-all-linear", 9100, target_modules="all-linear", task_type="SEQ_CLS"), text)
    expect("bert-tiny-dense", adapter("bert-tiny-dense", 9200, target_modules=["dense"]), text)
    expect("bert-tiny-saved-pooler", adapter("bert-tiny-saved-pooler", 9300, target_modules=["query"], task_type="SEQ_CLS",
                                             modules_to_save=["pooler", "classifier"]), text)
    save("expected-brought.safetensors", tensors)


if __name__ == "__main__":
    main()
