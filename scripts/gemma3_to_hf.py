#!/usr/bin/env python3
"""Turns a GGUF file of Gemma 3's text model into a Hugging Face folder, with PyPI's gguf, which multiplies the weights out.

DIR gets config.json, model.safetensors (bfloat16), tokenizer.json and tokenizer_config.json, with the chat template if the
file has one. What llama.cpp knows by itself and the file does not say is Gemma 3's: each sixth block sees all tokens, the
others turn by a base of their own, and the scores are divided by the root of a head's size.
"""

import argparse
import os
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

from gguf_to_hf import write_json, write_weights

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # types of tokens

NAMES = {  # llama.cpp's names in a layer, and Hugging Face's
    "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def bfloat16(values):
    """The two upper bytes of float32, rounded to even, one after the other."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def tensors(reader):
    """Hugging Face's name, shape and bfloat16 bytes of every tensor."""
    for t in reader.tensors:
        values = dequantize(t.data, t.tensor_type)
        if t.name.endswith("norm.weight"):
            values = values - 1  # llama.cpp has added Gemma's 1
        if t.name.startswith("blk."):
            _, layer, part, suffix = t.name.split(".")
            name = f"model.layers.{layer}.{NAMES[part]}.{suffix}"
        else:
            name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[t.name]
        yield name, list(values.shape), bfloat16(values)


def config(key):
    short = lambda x: float(f"{x:.7g}")  # what a float32 was written as
    blocks = key("gemma3.block_count")
    return {
        "architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text",
        "hidden_size": key("gemma3.embedding_length"), "intermediate_size": key("gemma3.feed_forward_length"),
        "num_hidden_layers": blocks, "num_attention_heads": key("gemma3.attention.head_count"),
        "num_key_value_heads": key("gemma3.attention.head_count_kv"), "head_dim": key("gemma3.attention.key_length"),
        "vocab_size": len(key("tokenizer.ggml.tokens")), "max_position_embeddings": key("gemma3.context_length"),
        "rms_norm_eps": short(key("gemma3.attention.layer_norm_rms_epsilon")), "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": key("gemma3.attention.key_length"), "sliding_window": key("gemma3.attention.sliding_window"),
        "layer_types": ["sliding_attention" if (n + 1) % 6 else "full_attention" for n in range(blocks)],
        "rope_theta": short(key("gemma3.rope.freq_base")), "rope_local_base_freq": 10000.0, "rope_scaling": None,
        "attention_bias": False, "attention_dropout": 0.0, "attn_logit_softcapping": None, "final_logit_softcapping": None,
        "use_bidirectional_attention": False, "initializer_range": 0.02, "tie_word_embeddings": True,
        "bos_token_id": key("tokenizer.ggml.bos_token_id"), "eos_token_id": key("tokenizer.ggml.eos_token_id"),
        "pad_token_id": key("tokenizer.ggml.padding_token_id"), "torch_dtype": "bfloat16",
    }


def merges(tokens, scores, kinds):
    """SentencePiece joins what makes the piece of the highest score: all pairs that make a piece, in that order
    (generate_merges of transformers' convert_slow_tokenizer.py). Pieces that a user has defined come first."""
    ids = {token: n for n, token in enumerate(tokens)}
    pairs = []
    for token, score, kind in zip(tokens, scores, kinds):
        if kind in (NORMAL, USER_DEFINED):
            halves = [(token[:at], token[at:]) for at in range(1, len(token)) if token[:at] in ids and token[at:] in ids]
            halves.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
            pairs += [(0.0 if kind == USER_DEFINED else score, *pair) for pair in halves]
    pairs.sort(key=lambda p: (p[0], len(p[1]), len(p[2])), reverse=True)
    return [[left, right] for _, left, right in pairs]


def tokenizer(key):
    kinds = key("tokenizer.ggml.token_type")  # llama.cpp writes the spaces of what a user has defined as such
    tokens = [t.replace(" ", "▁") if kind == USER_DEFINED else t for t, kind in zip(key("tokenizer.ggml.tokens"), kinds)]
    bos = tokens[key("tokenizer.ggml.bos_token_id")]
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    first = {"SpecialToken": {"id": bos, "type_id": 0}}
    text = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [
            {"id": n, "content": tokens[n], **plain, "special": kind == CONTROL}
            for n, kind in enumerate(kinds) if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
        "post_processor": {
            "type": "TemplateProcessing", "single": [first, text("A", 0)],
            "pair": [first, text("A", 0), {"SpecialToken": {"id": bos, "type_id": 1}}, text("B", 1)],
            "special_tokens": {bos: {"id": bos, "ids": [tokens.index(bos)], "tokens": [bos]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        ]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": tokens[key("tokenizer.ggml.unknown_token_id")],
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
            "vocab": {token: n for n, token in enumerate(tokens)}, "merges": merges(tokens, key("tokenizer.ggml.scores"), kinds),
        },
    }


def tokenizer_config(key, template):
    token = lambda name: key("tokenizer.ggml.tokens")[key(f"tokenizer.ggml.{name}_token_id")]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
        "model_max_length": key("gemma3.context_length"), "bos_token": token("bos"), "eos_token": token("eos"),
        "unk_token": token("unknown"), "pad_token": token("padding"), **({"chat_template": template} if template else {}),
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("path", metavar="FILE.gguf")
    p.add_argument("folder", metavar="DIR")
    args = p.parse_args()
    path, folder = args.path, args.folder
    reader = GGUFReader(path)
    kept = {}

    def key(name):
        if name not in kept:
            if name not in reader.fields:
                sys.exit(f"{path}: no key {name}")
            kept[name] = reader.fields[name].contents()
        return kept[name]

    is_a, vocabulary = key("general.architecture"), key("tokenizer.ggml.model")
    if (is_a, vocabulary) != ("gemma3", "llama"):
        sys.exit(f"{path}: architecture {is_a} with tokenizer {vocabulary}, want gemma3 with llama (SentencePiece)")
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, "config.json"), config(key))
    write_json(os.path.join(folder, "tokenizer.json"), tokenizer(key))
    template = key("tokenizer.chat_template") if "tokenizer.chat_template" in reader.fields else None
    write_json(os.path.join(folder, "tokenizer_config.json"), tokenizer_config(key, template))
    write_weights(os.path.join(folder, "model.safetensors"), tensors(reader))


if __name__ == "__main__":
    main()
