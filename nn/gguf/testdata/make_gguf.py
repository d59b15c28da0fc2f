"""Makes the adapters of this folder with llama.cpp's own writer.

    pip install gguf==0.19.0
    python make_gguf.py

What stands in them is what convert_lora_to_gguf.py of llama.cpp writes, and the order
of rows of LLaMA's queries and keys that of LlamaModel.permute in its conversion.
lora_test.go has the same adapter in PEFT's form.
"""

import pathlib

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
HEADS, GROUPS, DIM, WIDTH, INNER, ALPHA = 4, 2, 4, 6, 10, 6.0

# module of the block, rows, columns, rank, and what its own scale is beyond ALPHA / rank
LAYERS = [
    (0, "attn_q", HEADS * DIM, WIDTH, 3, 1.0),
    (0, "attn_k", GROUPS * DIM, WIDTH, 1, 0.5),
    (0, "attn_v", GROUPS * DIM, WIDTH, 2, 1.0),
    (0, "attn_output", WIDTH, HEADS * DIM, 2, 1.0),
    (1, "ffn_gate", INNER, WIDTH, 1, 1.0),
    (1, "ffn_up", INNER, WIDTH, 4, 2.0),
    (1, "ffn_down", WIDTH, INNER, 2, 1.0),
]


def ramp(start, rows, columns):
    values = (np.arange(rows * columns) * 7 + start) % 61 - 30
    return (values / 8).astype(np.float32).reshape(rows, columns)


def permute(weights, heads):
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def make(name, architecture, paired, dtype):
    writer = gguf.GGUFWriter(HERE / name, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    for i, (block, module, rows, columns, rank, scale) in enumerate(LAYERS):
        a, b = ramp(2 * i, rank, columns), ramp(2 * i + 1, rows, rank) * np.float32(scale)
        if paired and module in ("attn_q", "attn_k"):
            b = permute(b, HEADS if module == "attn_q" else GROUPS)
        writer.add_tensor(f"blk.{block}.{module}.weight.lora_a", a.astype(dtype))
        writer.add_tensor(f"blk.{block}.{module}.weight.lora_b", np.ascontiguousarray(b).astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


make("llama.gguf", "llama", True, np.float32)
make("qwen3-f16.gguf", "qwen3", False, np.float16)
