"""Writes all-MiniLM-L6-v2 (a BERT) as a RoBERTa checkpoint, so that RoBERTa code can be tried with real weights.

    python testdata/nn/minilm_as_roberta.py MINILM_FOLDER OUT_FOLDER

RoBERTa numbers positions from pad_token_id + 1, so position row i moves to row i + 1 (row 0 is padding's) and the pad
id stays BERT's 0; there is one segment, BERT's row 0. Single texts then give the same hidden states as in BERT. BERT's
pooler and RoBERTa's classifier.dense are the same computation (dense, tanh), so with the same output layer the logits
are equal too; that layer is made of `noise`, as in make_minilm.py. The tokenizer is BERT's.
"""

import os
import shutil
import sys

import torch
from safetensors.torch import load_file
from transformers import BertConfig, RobertaConfig

from fixture import noise, save, setup

OUT_SEED, OUT_BOUND = 1, 0.3  # classifier weight; its bias has the next seed


def head(labels, width):
    return noise([labels, width], OUT_SEED, OUT_BOUND), noise([labels], OUT_SEED + 1, OUT_BOUND)


def convert(folder):
    """The RoBERTa config and tensors of a MiniLM folder."""
    bert = BertConfig.from_pretrained(folder)
    same = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act hidden_dropout_prob "
        "attention_probs_dropout_prob initializer_range layer_norm_eps"
    ).split()
    config = RobertaConfig(
        **{key: getattr(bert, key) for key in same},
        max_position_embeddings=bert.max_position_embeddings + 1, type_vocab_size=1, num_labels=2,
        pad_token_id=0, bos_token_id=101, eos_token_id=102, architectures=["RobertaForSequenceClassification"],
    )
    tensors = {}
    for key, t in load_file(os.path.join(folder, "model.safetensors")).items():
        if key.startswith("pooler."):
            tensors["classifier." + key.removeprefix("pooler.")] = t
        elif key != "embeddings.position_ids":
            tensors["roberta." + key] = t
    positions = tensors["roberta.embeddings.position_embeddings.weight"]
    tensors["roberta.embeddings.position_embeddings.weight"] = torch.cat([torch.zeros_like(positions[:1]), positions])
    segments = "roberta.embeddings.token_type_embeddings.weight"
    tensors[segments] = tensors[segments][:1].clone()
    tensors["classifier.out_proj.weight"], tensors["classifier.out_proj.bias"] = head(2, config.hidden_size)
    return config, tensors


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    setup()
    config, tensors = convert(source)
    os.makedirs(target, exist_ok=True)
    config.to_json_file(os.path.join(target, "config.json"))
    save(os.path.abspath(os.path.join(target, "model.safetensors")), tensors)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(os.path.join(source, file), target)


if __name__ == "__main__":
    main()
