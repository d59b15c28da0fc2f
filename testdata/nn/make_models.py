"""Tiny BERT and RoBERTa checkpoints in Hugging Face form, and what transformers and PEFT compute with them.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2
    python testdata/nn/make_models.py

Folders (config.json, model.safetensors):
  bert-tiny              BertForSequenceClassification, 3 labels, float32
  bert-tiny-f16, -bf16   the same weights rounded
  bert-tiny-sharded      the same weights in two files with an index
  bert-tiny-regression   another, smaller BERT with one output and problem_type regression
  bert-encoder           its encoder as BertModel saves it: no prefix, no head, a position_ids buffer (as MiniLM)
  bert-pretraining       its encoder as BertForPreTraining in the first releases: LayerNorm.gamma/beta, cls.* heads
  roberta-tiny           RobertaForSequenceClassification, 2 labels
  bert-tiny-tokens       BertForTokenClassification, 5 labels, smaller; roberta-tiny-tokens the same of RoBERTa
Adapters as PEFT writes them (adapter_config.json, adapter_model.safetensors):
  bert-tiny-lora, bert-tiny-regression-lora, roberta-tiny-lora   r = 4 everywhere, and so
  bert-tiny-tokens-lora, roberta-tiny-tokens-lora                of token classification
  bert-tiny-lora-ranks, roberta-tiny-lora-ranks                  unequal ranks, one layer left out (rank 0)

expected-MODEL.safetensors has one padded batch (for tokens, with the wanted rows), logits (of those), loss and the gradient of every parameter; expected-MODEL-adamw
the losses before each of ten AdamW steps on that batch and the parameters after them (lr 1e-3, weight decay 0.01 on
all of them). expected-ADAPTER has all of that for A, B and head, which start at the values in the adapter's folder
(B is not 0). expected-bert-tiny-rounded has the logits of the rounded weights, computed in float32 and float64.
Attention is eager, the model in eval mode.

`logits`, `loss` and `steps.loss` are of a float32 run, the same names with `.f64` of a float64 run of the same weights;
`grad.*` and `final.*` are of the float64 run, rounded to float32. How far torch's own float32 run is from them is in
the metadata (`float32_error_*`). It is large for the key biases after Adam, and named apart: a key bias shifts all
scores of a softmax row alike, so its true gradient is 0 and what is computed is rounding noise, which Adam scales up.
"""

import copy
import os

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from fixture import HERE, batch, fill, inputs, noise, padded_labels, places, prefixed, save, save_adapter, setup, token_batch, write_json

STEPS = 10
ALPHA = 8
SEQUENCE = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def configs():
    bert = BertConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=40, type_vocab_size=2, num_labels=3, **SEQUENCE,
    )
    regression = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=24, type_vocab_size=2, num_labels=1, problem_type="regression", **SEQUENCE,
    )
    roberta = RobertaConfig(
        vocab_size=80, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=34, type_vocab_size=1, num_labels=2, layer_norm_eps=1e-5,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, **SEQUENCE,
    )
    return bert, regression, roberta


def token_configs():
    bert = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=24, type_vocab_size=2, num_labels=5, **SEQUENCE,
    )
    roberta = RobertaConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=26, type_vocab_size=1, num_labels=5, layer_norm_eps=1e-5,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, **SEQUENCE,
    )
    return bert, roberta


def write_config(name, model, dtype=torch.float32):
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = dtype
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    config.to_json_file(os.path.join(HERE, name, "config.json"))


def write_folder(name, model, tensors, dtype=torch.float32):
    write_config(name, model, dtype)
    save(f"{name}/model.safetensors", {k: t.to(dtype) if t.is_floating_point() else t for k, t in tensors.items()})


def write_shards(name, model):
    write_config(name, model)
    tensors = model.state_dict()
    files = {k: f"model-0000{1 + ('layer.1.' in k)}-of-00002.safetensors" for k in tensors}
    for file in sorted(set(files.values())):
        save(f"{name}/{file}", {k: t for k, t in tensors.items() if files[k] == file})
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(f"{name}/model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": files})


def write_encoder(name, classifier):
    """BertModel's own keys, with the buffer that old releases stored."""
    positions = torch.arange(classifier.config.max_position_embeddings)[None]
    write_folder(name, classifier.bert, {**classifier.bert.state_dict(), "embeddings.position_ids": positions})


def write_pretraining(name, classifier):
    """The keys of bert-base-uncased: gamma and beta, a masked-LM head tied to the embeddings, a next-sentence head."""
    model = BertForPreTraining(classifier.config)
    fill(model, seed=500)
    model.bert.load_state_dict(classifier.bert.state_dict())
    tied = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
    old = lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    write_folder(name, model, {old(k): t for k, t in model.state_dict().items() if k not in tied})


def is_token_model(name):
    return name.endswith("-tokens")


def load(name, dtype):
    """The folder through transformers, so that every fixture is proved to be a real checkpoint."""
    auto = AutoModelForTokenClassification if is_token_model(name) else AutoModelForSequenceClassification
    model, info = auto.from_pretrained(
        os.path.join(HERE, name), attn_implementation="eager", dtype=torch.float32, output_loading_info=True
    )
    assert not info["mismatched_keys"]
    return model.eval().to(dtype), info


def peft_key(name):
    """The name of a parameter in adapter_model.safetensors."""
    return name.replace("modules_to_save.default.", "").replace(".default.", ".")


def trainable(model):
    return {peft_key(n): p for n, p in model.named_parameters() if p.requires_grad}


def run(model, b, dtype):
    """Logits, loss and gradients at the start, then ten AdamW steps on the same batch."""
    labels = padded_labels(b)
    labels = labels.to(dtype) if labels.is_floating_point() else labels
    params = trainable(model)
    optimizer = torch.optim.AdamW(params.values(), lr=1e-3, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        out = model(**inputs(b), labels=labels)
        out.loss.backward()
        losses.append(out.loss.detach())
        if step == 0:
            logits, grads = out.logits.detach(), {k: p.grad.clone() for k, p in params.items()}
            logits = logits[places(b)] if "want" in b else logits
        optimizer.step()
    finals = {k: p.detach() for k, p in params.items()}
    return {"logits": logits, "loss": losses[0][None], "grad": grads, "steps.loss": torch.stack(losses), "final": finals}


def error(single, double):
    """The largest difference of the float32 run, and where it is."""
    worst, key = max(((single[k].double() - t).abs().max().item(), k) for k, t in double.items())
    return f"{worst:.1e} at {key}"


def expect(name, b, build):
    """Stores the run of build(dtype) in both precisions. Returns the tensors and the metadata."""
    single, double = (run(build(dtype), b, dtype) for dtype in (torch.float32, torch.float64))
    tensors = prefixed("batch", b)
    for key in ("logits", "loss", "steps.loss"):
        tensors[key], tensors[key + ".f64"] = single[key], double[key]
    for key in ("grad", "final"):
        tensors |= prefixed(key, {k: t.float() for k, t in double[key].items()})
    is_noise = lambda k: k.endswith(("key.bias", "k_lin.bias"))
    errors = {
        "float32_error_grad": error(single["grad"], double["grad"]),
        "float32_error_final": error(single["final"], {k: t for k, t in double["final"].items() if not is_noise(k)}),
    }
    if any(map(is_noise, double["final"])):
        errors["float32_error_final_key_bias"] = error(
            single["final"], {k: t for k, t in double["final"].items() if is_noise(k)}
        )
    print(name, "loss", [f"{x:.3f}" for x in double["steps.loss"].tolist()], errors)
    return tensors, errors


def expect_full(name, b):
    tensors, errors = expect(name, b, lambda dtype: load(name, dtype)[0])
    later = {k: t for k, t in tensors.items() if k.startswith(("steps.", "final."))}
    save(f"expected-{name}.safetensors", {k: t for k, t in tensors.items() if k not in later}, **errors)
    save(f"expected-{name}-adamw.safetensors", later, **errors)


def fill_adapter(model, seed):
    """Numbers for what PEFT trains."""
    with torch.no_grad():
        for n, (key, p) in enumerate(trainable(model).items()):
            if "lora_" in key:
                p.copy_(noise(p.shape, seed + n, 0.3 if "lora_A" in key else 0.2))
            else:
                p.add_(noise(p.shape, seed + n, 0.1))  # the head is not the base's: loading must take the adapter's


def write_adapter(name, base, ranks, seed, saved=None):
    """An adapter at the ranks {module: rank}, saved by PEFT itself, with modules beside the classifier if it is told to."""
    config = LoraConfig(
        task_type="TOKEN_CLS" if is_token_model(base) else "SEQ_CLS", r=4, lora_alpha=ALPHA, lora_dropout=0.0, base_model_name_or_path=base,
        target_modules=sorted(ranks), rank_pattern={k: r for k, r in ranks.items() if r != 4}, modules_to_save=saved,
    )
    model = get_peft_model(load(base, torch.float32)[0], config)
    fill_adapter(model, seed)
    save_adapter(name, base, model)


def expect_adapter(name, base, b):
    def build(dtype):
        folder = os.path.join(HERE, name)
        return PeftModel.from_pretrained(load(base, torch.float32)[0], folder, is_trainable=True).eval().to(dtype)

    tensors, errors = expect(name, b, build)
    save(f"expected-{name}.safetensors", tensors, **errors)


def attention_modules(config):
    return [
        f"{config.model_type}.encoder.layer.{layer}.attention.self.{projection}"
        for layer in range(config.num_hidden_layers) for projection in ("query", "value")
    ]


def check_variant(name, reference):
    """transformers finds the reference's encoder in another form of it, and misses nothing but the head."""
    model, info = load(name, torch.float32)
    assert all(k.startswith("classifier.") for k in info["missing_keys"]), info
    for k, t in reference.bert.state_dict().items():
        assert torch.equal(t, model.bert.state_dict()[k]), (name, k)


def main():
    setup()
    bert, regression, roberta = configs()
    bert_tokens, roberta_tokens = token_configs()
    batches = {
        "bert-tiny": batch([40, 3, 17, 8, 25, 11], [1, 0, 1, 0, 0, 1], bert, [2, 0, 1, 1, 2, 0], seed=10),
        "bert-tiny-regression": batch([9, 24, 3, 14], [0, 1, 0, 1], regression, [0.5, 3.25, 5.0, 1.75], seed=30),
        "roberta-tiny": batch([7, 32, 3, 12, 20], [0, 1, 0, 1, 0], roberta, [1, 0, 0, 1, 1], seed=50),
        "bert-tiny-tokens": token_batch([9, 24, 3, 14], [0, 1, 0, 0], bert_tokens, seed=70),
        "roberta-tiny-tokens": token_batch([24, 3, 11, 6], [0, 0, 1, 0], roberta_tokens, seed=90),
    }
    for name, kind, config, seed in (
        ("bert-tiny", BertForSequenceClassification, bert, 100),
        ("bert-tiny-regression", BertForSequenceClassification, regression, 200),
        ("roberta-tiny", RobertaForSequenceClassification, roberta, 300),
        ("bert-tiny-tokens", BertForTokenClassification, bert_tokens, 600),
        ("roberta-tiny-tokens", RobertaForTokenClassification, roberta_tokens, 700),
    ):
        model = kind(config)
        fill(model, seed)
        write_folder(name, model, model.state_dict())
        expect_full(name, batches[name])
        write_adapter(f"{name}-lora", name, dict.fromkeys(attention_modules(config), 4), seed=1000 + seed)
        expect_adapter(f"{name}-lora", name, batches[name])
        if config.num_hidden_layers == 2 and not is_token_model(name):
            ranks = {m: r for m, r in zip(attention_modules(config), (3, 1, 0, 6)) if r > 0}
            write_adapter(f"{name}-lora-ranks", name, ranks, seed=2000 + seed)
            expect_adapter(f"{name}-lora-ranks", name, batches[name])

    tiny, _ = load("bert-tiny", torch.float32)
    rounded = prefixed("batch", batches["bert-tiny"])
    for suffix, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        write_folder(f"bert-tiny-{suffix}", tiny, tiny.state_dict(), dtype)
        for run_suffix, run_dtype in (("", torch.float32), (".f64", torch.float64)):
            with torch.no_grad():
                out = load(f"bert-tiny-{suffix}", run_dtype)[0](**inputs(batches["bert-tiny"]))
            rounded[f"{suffix}.logits{run_suffix}"] = out.logits
    save("expected-bert-tiny-rounded.safetensors", rounded)
    write_shards("bert-tiny-sharded", tiny)
    check_variant("bert-tiny-sharded", tiny)

    small, _ = load("bert-tiny-regression", torch.float32)
    write_encoder("bert-encoder", small)
    write_pretraining("bert-pretraining", small)
    for name in ("bert-encoder", "bert-pretraining"):
        check_variant(name, small)


if __name__ == "__main__":
    main()
