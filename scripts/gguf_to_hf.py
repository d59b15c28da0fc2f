#!/usr/bin/env python3
"""Turns a GGUF file of the LLaMA architecture into a Hugging Face folder.

DIR gets config.json, model.safetensors (bfloat16: weights of 4 or 8 bits are multiplied out, and rounded), tokenizer.json
and tokenizer_config.json. Of the many types of tensors it knows F32, Q4_1 and Q8_0, of the tokenizers GPT-2's byte-level
BPE with SmolLM's splitting: what SmolLM2 needs. Python's own library is enough; 135M weights take a minute.
"""

import argparse
import json
import os
import struct
import sys

F32, Q4_1, Q8_0 = 0, 3, 8
BLOCK = 32  # weights of a quantised block
SIZES = {F32: 4 * BLOCK, Q4_1: 20, Q8_0: 34}  # bytes of so many
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
CONTROL = 3  # type of a token that is none of the text

NAMES = {  # llama.cpp's names in a layer, and Hugging Face's
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


class Reader:
    """The keys, the tensors' (name: shape, type, offset) and where their data begins."""

    def __init__(self, file):
        self.file = file
        if file.read(4) != b"GGUF" or self.number("I") != 3:
            sys.exit(f"{file.name}: not a GGUF file of version 3")
        tensors, keys = self.number("Q"), self.number("Q")
        self.keys = {}
        for _ in range(keys):
            name = self.string()
            self.keys[name] = self.value(self.number("I"))
        self.tensors = {}
        for _ in range(tensors):
            name = self.string()
            shape = [self.number("Q") for _ in range(self.number("I"))][::-1]  # the fastest index comes first
            self.tensors[name] = shape, self.number("I"), self.number("Q")
        alignment = self.keys.get("general.alignment", 32)
        self.start = -(-file.tell() // alignment) * alignment

    def number(self, form):
        size = struct.calcsize("<" + form)
        return struct.unpack("<" + form, self.file.read(size))[0]

    def string(self):
        return self.file.read(self.number("Q")).decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, count = self.number("I"), self.number("Q")
            return [self.value(kind) for _ in range(count)]
        return self.number(SCALARS[kind])

    def data(self, name):
        """A tensor's bytes."""
        shape, kind, offset = self.tensors[name]
        if kind not in SIZES:
            sys.exit(f"{self.file.name}: tensor {name} has type {kind}, want F32, Q4_1 or Q8_0")
        self.file.seek(self.start + offset)
        return self.file.read(count(shape) * SIZES[kind] // BLOCK)


def count(shape):
    n = 1
    for size in shape:
        n *= size
    return n


def round_to_bfloat16(values):
    """The two upper bytes of float32, rounded to even, one after the other."""
    bits = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
    return struct.pack(f"<{len(values)}H", *[(b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits])


LOW, HIGH = bytes(b & 15 for b in range(256)), bytes(b >> 4 for b in range(256))


def multiplied_out(data, kind):
    """The bfloat16 bytes of a tensor's bytes."""
    out, size = [], SIZES[kind]
    for at in range(0, len(data), size):
        block = data[at : at + size]
        if kind == F32:
            out.append(round_to_bfloat16(struct.unpack(f"<{len(block) // 4}f", block)))
        elif kind == Q8_0:
            (scale,) = struct.unpack_from("<e", block)
            out.append(round_to_bfloat16([scale * q for q in struct.unpack_from("<32b", block, 2)]))
        else:  # the 16 values of a block, then which of them: those of the lower halves of the bytes, then of the upper ones
            scale, least = struct.unpack_from("<2e", block)
            values = round_to_bfloat16([scale * q + least for q in range(16)])
            table = [values[i : i + 2] for i in range(0, 32, 2)]
            out.append(b"".join(map(table.__getitem__, block[4:].translate(LOW) + block[4:].translate(HIGH))))
    return b"".join(out)


def halves_apart(data, rows, heads):
    """llama.cpp turns neighbouring rows of a query or key head together, Hugging Face row i and i + D/2: reorder them."""
    width, size = len(data) // rows, rows // heads
    order = [h * size + 2 * i + half for h in range(heads) for half in (0, 1) for i in range(size // 2)]
    return b"".join(data[row * width : (row + 1) * width] for row in order)


def tensors(reader):
    """Hugging Face's name, shape and bfloat16 bytes of every tensor."""
    key = lambda name: reader.keys[f"llama.{name}"]
    heads = {"attn_q": key("attention.head_count"), "attn_k": key("attention.head_count_kv")}
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
    for name, (shape, kind, _) in reader.tensors.items():
        data = multiplied_out(reader.data(name), kind)
        if name.startswith("blk."):
            _, layer, part, suffix = name.split(".")
            if part in heads:
                data = halves_apart(data, shape[0], heads[part])
            yield f"model.layers.{layer}.{NAMES[part]}.{suffix}", shape, data
        else:
            yield names[name], shape, data


def write_weights(path, parts):
    parts = sorted(parts)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, data in parts:
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        f.writelines(data for _, _, data in parts)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def config(reader):
    key = lambda name: reader.keys[f"llama.{name}"]
    short = lambda x: float(f"{x:.7g}")  # what a float32 was written as
    token = lambda name: reader.keys[f"tokenizer.ggml.{name}_token_id"]
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": key("embedding_length"), "intermediate_size": key("feed_forward_length"),
        "num_hidden_layers": key("block_count"), "num_attention_heads": key("attention.head_count"),
        "num_key_value_heads": key("attention.head_count_kv"), "vocab_size": len(reader.keys["tokenizer.ggml.tokens"]),
        "max_position_embeddings": key("context_length"), "rms_norm_eps": short(key("attention.layer_norm_rms_epsilon")),
        "rope_theta": short(key("rope.freq_base")), "rope_scaling": None, "hidden_act": "silu", "initializer_range": 0.02,
        "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False,
        "tie_word_embeddings": "output.weight" not in reader.tensors,
        "bos_token_id": token("bos"), "eos_token_id": token("eos"), "pad_token_id": token("padding"), "torch_dtype": "bfloat16",
    }


def tokenizer(reader):
    key = lambda name: reader.keys[f"tokenizer.ggml.{name}"]
    if (key("model"), key("pre")) != ("gpt2", "smollm"):
        sys.exit(f"{reader.file.name}: tokenizer {key('model')} {key('pre')}, want gpt2 smollm")
    tokens = key("tokens")
    bytes_as_letters = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": n, "content": tokens[n], **plain} for n, kind in enumerate(key("token_type")) if kind == CONTROL],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", **bytes_as_letters},
        ]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", **bytes_as_letters | {"add_prefix_space": True}},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: n for n, token in enumerate(tokens)}, "merges": key("merges"),
        },
    }


def tokenizer_config(reader):
    key = lambda name: reader.keys[f"tokenizer.ggml.{name}"]
    token = lambda name: key("tokens")[key(f"{name}_token_id")]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
        "model_max_length": reader.keys["llama.context_length"], "bos_token": token("bos"), "eos_token": token("eos"),
        "unk_token": token("unknown"), "pad_token": token("padding"), "chat_template": reader.keys["tokenizer.chat_template"],
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("path", metavar="FILE.gguf")
    p.add_argument("folder", metavar="DIR")
    args = p.parse_args()
    path, folder = args.path, args.folder
    with open(path, "rb") as file:
        reader = Reader(file)
        if reader.keys["general.architecture"] != "llama":
            sys.exit(f"{path}: architecture {reader.keys['general.architecture']}, want llama")
        os.makedirs(folder, exist_ok=True)
        write_json(os.path.join(folder, "config.json"), config(reader))
        write_json(os.path.join(folder, "tokenizer.json"), tokenizer(reader))
        write_json(os.path.join(folder, "tokenizer_config.json"), tokenizer_config(reader))
        write_weights(os.path.join(folder, "model.safetensors"), tensors(reader))


if __name__ == "__main__":
    main()
