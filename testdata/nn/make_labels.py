"""Tiny decoders with heads for labels in Hugging Face form, and what transformers and PEFT compute with them.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.0
    python testdata/nn/make_labels.py    # [NAME…]: of these models alone

Folders (config.json, model.safetensors), all float32:
  gpt2-labels        GPT2ForSequenceClassification, 3 labels, padded with the token that ends texts, as is usual
  llama-labels       LlamaForSequenceClassification, 4 labels
  gemma3-regression  Gemma3TextForSequenceClassification, one output, windows of 4 tokens in one block; its config.json has no
                     pad_token_id, which is 0 then
  gemma2-tokens      Gemma2ForTokenClassification, 5 labels, windows of 3 tokens in one block, a soft cap on the scores of attention
  gpt2-tokens        GPT2ForTokenClassification, 5 labels, whose head is called as BERT's
  llama-tokens       LlamaForTokenClassification, 5 labels
  llama-several      LlamaForSequenceClassification, 4 labels of which a text may have any number (problem_type multi_label_classification)
  bert-several       BertForSequenceClassification, likewise of 3 labels
NAME-lora is an adapter as PEFT writes it, SEQ_CLS or TOKEN_CLS, r = 2 on all linear layers but GPT-2's c_attn (see
gpt2-tiny-lora-whole), of BERT on query and value, with a head of its own.

expected-NAME, expected-NAME-adamw and expected-NAME-lora are those of make_models.py; one text ends with the token that pads,
and in gpt2-labels one is nothing else. Of several labels `batch.labels` are 1 and 0, a row for each text. expected-NAME-lora
has a second derivative too: `hvp.*` is ∂(g·u)/∂w of the loss's gradient g and the numbers `u.*`, in float64. How float64 is
made of transformers' float32 says make_decoders.py.
"""

import os
import sys
import warnings

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertForSequenceClassification,
    Gemma2Config,
    Gemma2ForTokenClassification,
    Gemma3TextConfig,
    Gemma3TextForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
)

from decoder_fixture import fill, in_type, token_ids, write_folder
from fixture import HERE, inputs, noise, padded_labels, prefixed, save, save_adapter, setup
from make_models import expect, fill_adapter, trainable

ALPHA = 8
VOCAB = 40
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SMALL = {"vocab_size": VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 32}
GROUPED = SMALL | {"num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 1}

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LINEAR = {"gpt2": ["c_proj", "c_fc"], "llama": LLAMA, "gemma2": LLAMA, "gemma3": LLAMA, "bert": ["query", "value"]}


def folders():
    """name: the model, its batch, what its config.json says otherwise."""
    gpt2 = dict(
        vocab_size=VOCAB, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=1, pad_token_id=1, **NO_DROPOUT
    )
    llama = dict(**GROUPED, pad_token_id=0)
    gemma3 = Gemma3TextConfig(
        **GROUPED | {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0}, head_dim=6, query_pre_attn_scalar=6, sliding_window=4,
        layer_types=["sliding_attention", "full_attention"], num_labels=1, problem_type="regression",
    )
    gemma2 = Gemma2Config(
        **GROUPED | {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0}, head_dim=6, query_pre_attn_scalar=6, sliding_window=3,
        attn_logit_softcapping=0.5, num_labels=5,
    )
    several = {"problem_type": "multi_label_classification"}
    bert = BertConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, max_position_embeddings=24,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3, **several,
    )
    lengths = [9, 14, 4, 7, 1]
    return {
        "gpt2-labels": (
            GPT2ForSequenceClassification(GPT2Config(**gpt2, num_labels=3)), texts(lengths, 1, [2, 0, 1, 1, 2], seed=7200, empty=True), {},
        ),
        "llama-labels": (LlamaForSequenceClassification(LlamaConfig(**llama, num_labels=4)), texts(lengths, 0, [3, 0, 1, 2, 0], seed=7300), {}),
        "gemma3-regression": (
            Gemma3TextForSequenceClassification(gemma3), texts(lengths, 0, [0.5, 3.25, 5.0, 1.75, -1.0], seed=7400), {"pad_token_id": None},
        ),
        "gpt2-tokens": (GPT2ForTokenClassification(GPT2Config(**gpt2, num_labels=5)), words(lengths, seed=7500), {}),
        "llama-tokens": (LlamaForTokenClassification(LlamaConfig(**llama, num_labels=5)), words(lengths, seed=7600), {}),
        "llama-several": (
            LlamaForSequenceClassification(LlamaConfig(**llama, num_labels=4, **several)), sets(texts(lengths, 0, [0], seed=7700), 4), {},
        ),
        "bert-several": (BertForSequenceClassification(bert), sets(texts(lengths, 0, [], seed=7800), 3), {}),
        "gemma2-tokens": (Gemma2ForTokenClassification(gemma2), words(lengths, seed=7900), {}),
    }


def texts(lengths, pad, labels, seed, empty=False):
    """A padded batch; if it has labels, its second text ends with the padding's token twice, and with empty the last one is
    that token."""
    ids = torch.full((len(lengths), max(lengths)), pad)
    for row, length in enumerate(lengths):
        ids[row, :length] = token_ids(length, VOCAB, seed + row)
    if labels:
        ids[1, lengths[1] - 2 : lengths[1]] = pad
    if empty:
        ids[-1, 0] = pad
    return {"ids": ids, "lengths": torch.tensor(lengths), "segments": torch.zeros_like(ids), "labels": torch.tensor(labels)}


def sets(b, count):
    """A batch of texts that have any of so many labels, the first text none of them."""
    b["labels"] = (noise((len(b["lengths"]), count), int(b["ids"].sum())) > 0).float()
    b["labels"][0] = 0
    return b


def words(lengths, seed):
    """A padded batch with labels for most tokens; see fixture.token_batch."""
    b = texts(lengths, 0, [], seed)
    real = torch.arange(max(lengths)) < b["lengths"][:, None]
    kept = (noise(real.shape, seed + 100) > -0.4) & real
    b["want"], b["want_per"] = kept[real].nonzero()[:, 0], kept.sum(dim=1)
    b["labels"] = ((noise((len(b["want"]),), seed + 200).double() + 1) / 2 * 5).long()
    return b


def load(name, dtype):
    """The folder through transformers, so that every fixture is proved to be a real checkpoint."""
    auto = AutoModelForTokenClassification if name.endswith("-tokens") else AutoModelForSequenceClassification
    model, info = auto.from_pretrained(os.path.join(HERE, name), attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not any(info[k] for k in ("mismatched_keys", "missing_keys", "unexpected_keys")), info
    if name in ("llama-tokens", "gemma2-tokens"):  # whose loss makes logits float32
        model.loss_function = lambda logits, labels, config: F.cross_entropy(logits.view(-1, config.num_labels), labels.view(-1))
    return in_type(model, dtype)


def write_adapter(name, base, seed):
    config = LoraConfig(
        task_type="TOKEN_CLS" if base.endswith("-tokens") else "SEQ_CLS", r=2, lora_alpha=ALPHA, lora_dropout=0.0, base_model_name_or_path=base,
        target_modules=LINEAR[base.split("-")[0]], fan_in_fan_out=base.startswith("gpt2"),
    )
    model = get_peft_model(load(base, torch.float32), config)
    fill_adapter(model, seed)
    save_adapter(name, base, model)


def peft_model(base, name, dtype):
    """The base in dtype with PEFT's adapter. PEFT makes its factors float32, whatever the base: cast them too."""
    return PeftModel.from_pretrained(load(base, dtype), os.path.join(HERE, name), is_trainable=True).eval().to(dtype)


def second_derivative(model, b, seed):
    params = trainable(model)
    u = {k: noise(p.shape, seed + n) for n, (k, p) in enumerate(params.items())}
    labels = padded_labels(b)
    loss = model(**inputs(b), labels=labels.double() if labels.is_floating_point() else labels).loss
    g = torch.autograd.grad(loss, list(params.values()), create_graph=True)
    dot = sum((x * u[k].double()).sum() for k, x in zip(params, g))
    hvp = dict(zip(params, torch.autograd.grad(dot, list(params.values()))))
    return prefixed("u", u) | prefixed("hvp", {k: t.float() for k, t in hvp.items()})


def main():
    setup()
    warnings.filterwarnings("ignore", ".*(fetch remote file|find a config file)")  # PEFT looks for the base on the hub
    names, sys.argv[1:] = sys.argv[1:], []
    for n, (name, (model, b, keys)) in enumerate(folders().items()):
        if names and name not in names:
            continue
        fill(model, seed=8500 + 100 * n)
        write_folder(name, model, keys, model.state_dict())
        tensors, errors = expect(name, b, lambda dtype: load(name, dtype))
        later = {k: t for k, t in tensors.items() if k.startswith(("steps.", "final."))}
        save(f"expected-{name}.safetensors", {k: t for k, t in tensors.items() if k not in later}, **errors)
        save(f"expected-{name}-adamw.safetensors", later, **errors)
        adapter = f"{name}-lora"
        write_adapter(adapter, name, seed=9500 + 100 * n)
        tensors, errors = expect(adapter, b, lambda dtype: peft_model(name, adapter, dtype))
        tensors |= second_derivative(peft_model(name, adapter, torch.float64), b, seed=9900 + 100 * n)
        save(f"expected-{adapter}.safetensors", tensors, **errors)


if __name__ == "__main__":
    main()
