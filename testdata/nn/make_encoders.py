"""Tiny encoders of families other than BERT and RoBERTa in Hugging Face form, and what transformers and PEFT compute with
them: everything that make_models.py has of a model, in the same form.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.0
    python testdata/nn/make_encoders.py       # [NAME...]: of these models alone

Folders (config.json, model.safetensors), all float32:
  distilbert-tiny     DistilBertForSequenceClassification, 3 labels; distilbert-tiny-tokens for tokens, 5 labels
  electra-tiny        ElectraForSequenceClassification, 3 labels, embeddings of 10 columns projected to 12
  electra-tiny-tokens ElectraForTokenClassification, embeddings as wide as the rest
  modernbert-tiny     ModernBertForSequenceClassification, 3 labels: no biases, every token in the first block, a window of 3
                      tokens to either side in the second; in the form of the hub's folders (global_rope_theta, ...)
  modernbert-mean     the mean of the tokens, one number (regression), every bias, the window in the first block
  modernbert-tiny-tokens
  deberta-tiny        DebertaV2ForSequenceClassification in the form of v3: 8 buckets of positions up to 24, norm of their
                      embeddings, query and key shared with them, no segments
  deberta-tiny-tokens in the form of v2: a convolution, projections of their own, positions in the embeddings too, segments
  deberta-c2p         regression, positions without buckets as keys alone
Adapters as PEFT writes them: NAME-lora, r = 2 on every linear layer of the body.

expected-buckets has, as "BUCKETS-MAX", DeBERTa's buckets of the distances from -800 to 800; made with all models.

transformers computes a part of ModernBERT in float32 also where all else is float64, the softmax and the turning of rotary
embeddings: here they are float64. Cosine and sine stay float32's.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
)
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position
from transformers.models.modernbert import modeling_modernbert

from decoder_fixture import same_type_softmax
from fixture import HERE, batch, fill, save, setup, token_batch, write_json
from make_models import expect_adapter, expect_full, write_adapter, write_folder

SMALL = {
    "vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 24, "pad_token_id": 0,
}
NONE = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DISTIL = {
    "vocab_size": 40, "dim": 12, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 24,
    "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0,
}
MODERN = SMALL | {"local_attention": 6, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
BIASES = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
ROPES = {
    "full_attention": {"rope_type": "default", "rope_theta": 300.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
}
HUB = {"layer_types": None, "rope_parameters": None, "global_rope_theta": 300.0, "local_rope_theta": 100.0, "global_attn_every_n_layers": 3}
MEAN = {"classifier_pooling": "mean", "layer_types": ["sliding_attention", "full_attention"]}
DEBERTA = SMALL | NONE | {"relative_attention": True}
V3 = DEBERTA | {
    "position_biased_input": False, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "max_relative_positions": 24,
    "share_att_key": True, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0,
}
V2 = DEBERTA | {
    "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 6, "conv_kernel_size": 3, "conv_act": "gelu", "type_vocab_size": 2,
}
C2P = DEBERTA | {"pos_att_type": ["c2p"], "position_biased_input": False}
NUMBER = {"num_labels": 1, "problem_type": "regression"}


def folders():
    """name: the model, what its config.json says otherwise (None: nothing)."""
    modern = lambda **keys: ModernBertConfig(**MODERN, rope_parameters=ROPES, **keys)
    return {
        "distilbert-tiny": (DistilBertForSequenceClassification(DistilBertConfig(**DISTIL, num_labels=3)), {}),
        "distilbert-tiny-tokens": (DistilBertForTokenClassification(DistilBertConfig(**DISTIL, num_labels=5)), {}),
        "electra-tiny": (ElectraForSequenceClassification(ElectraConfig(**SMALL, **NONE, embedding_size=10, num_labels=3)), {}),
        "electra-tiny-tokens": (ElectraForTokenClassification(ElectraConfig(**SMALL, **NONE, embedding_size=12, num_labels=5)), {}),
        "modernbert-tiny": (ModernBertForSequenceClassification(modern(num_labels=3)), HUB),
        "modernbert-mean": (ModernBertForSequenceClassification(modern(**BIASES, **MEAN, **NUMBER)), {}),
        "modernbert-tiny-tokens": (ModernBertForTokenClassification(modern(num_labels=5)), {}),
        # without problem_type its loss is float32 whatever the rest is
        "deberta-tiny": (
            DebertaV2ForSequenceClassification(DebertaV2Config(**V3, num_labels=3, problem_type="single_label_classification")),
            {"pos_att_type": "p2c|c2p"},
        ),
        "deberta-tiny-tokens": (DebertaV2ForTokenClassification(DebertaV2Config(**V2, num_labels=5)), {}),
        "deberta-c2p": (DebertaV2ForSequenceClassification(DebertaV2Config(**C2P, **NUMBER)), {}),
    }


def turn(q, k, cos, sin, unsqueeze_dim=1):
    """ModernBERT's rotary embedding in the type of its input."""
    half = modeling_modernbert.rotate_half
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return q * cos + half(q) * sin, k * cos + half(k) * sin


def buckets():
    distances = torch.arange(-800, 801)
    return {f"{n}-{most}": make_log_bucket_position(distances, n, most).long() for n, most in ((256, 512), (8, 24), (32, 128))}


def linears(model):
    """The linear layers of the body."""
    body = model.base_model_prefix + "."
    return [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith(body)]


def main():
    setup()
    F.softmax = same_type_softmax
    modeling_modernbert.apply_rotary_pos_emb = turn
    names = sys.argv[1:]
    sys.argv = sys.argv[:1]
    if not names:
        save("expected-buckets.safetensors", buckets())
    for n, (name, (model, keys)) in enumerate(folders().items()):
        if names and name not in names:
            continue
        config, seed = model.config, 3000 + 100 * n
        fill(model, seed)
        write_folder(name, model, model.state_dict())
        if keys:
            with open(os.path.join(HERE, name, "config.json")) as f:
                stored = json.load(f) | keys
            write_json(f"{name}/config.json", {k: v for k, v in stored.items() if v is not None})
        pairs = [0, 1, 0, 1] if config.model_type in ("electra", "deberta-v2") else [0] * 4
        if name.endswith("-tokens"):
            b = token_batch([9, 22, 3, 14], pairs, config, seed + 50)
        else:
            b = batch([9, 22, 3, 14], pairs, config, [0.5, 3.25, 5.0, 1.75] if config.num_labels == 1 else [2, 0, 1, 1], seed + 50)
        expect_full(name, b)
        saved = ["pre_classifier"] if name == "distilbert-tiny" else None
        write_adapter(f"{name}-lora", name, dict.fromkeys(linears(model), 2), seed + 5000, saved)
        expect_adapter(f"{name}-lora", name, b)


if __name__ == "__main__":
    main()
