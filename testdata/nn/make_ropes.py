"""Frequencies of rotary embeddings in every form, as transformers computes them at some lengths of texts.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.0
    python testdata/nn/make_ropes.py

ropes.json: a list, with the text of a config.json (`config`), and for each of `lengths` the frequencies [turned/2] and what
queries and keys are multiplied by. max_position_embeddings of a dynamic form is that of pre-training.
"""

import json
import os

import torch
from transformers import LlamaConfig, Phi3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from fixture import HERE, setup

SMALL = {
    "vocab_size": 40, "hidden_size": 64, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
LONG = {"short_factor": [1.0, 1.05, 1.1, 1.3, 1.5, 1.9], "long_factor": [1.0, 1.2, 2.5, 4.0, 9.5, 31.0]}

CASES = [  # type, max_position_embeddings, keys, lengths
    ("llama", 4096, {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.5}}, [7]),
    ("llama", 4096, {"rope_theta": 1e4, "rope_scaling": {"type": "dynamic", "factor": 4.0}}, [7, 4096, 4097, 5000, 16384]),
    ("llama", 2048, {"rope_parameters": {"rope_theta": 5e5, "rope_type": "dynamic", "factor": 2.5}}, [2048, 3000]),
    ("llama", 131072, {"rope_theta": 5e5, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}, [7]),
    ("llama", 16384, {"rope_theta": 1e6, "rope_scaling": YARN}, [7, 16384]),
    ("llama", 4096, {"rope_theta": 1e6, "rope_scaling": YARN | {"beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}}, [7]),
    ("llama", 16384, {"rope_parameters": YARN | {"rope_theta": 1e4, "mscale": 0.7, "mscale_all_dim": 1.0}}, [7]),
    ("llama", 16384, {"rope_theta": 1e4, "rope_scaling": YARN | {"attention_factor": 1.25}}, [7]),
    ("phi3", 131072, {"rope_theta": 1e4, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 4096,
        "rope_scaling": {"type": "longrope"} | LONG}, [7, 4096, 4097, 131072]),
    ("phi3", 4096, {"original_max_position_embeddings": 4096, "rope_parameters": LONG | {
        "rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75}}, [7, 4096]),
]


def main():
    setup()
    out = []
    for kind, positions, keys, lengths in CASES:
        text = SMALL | {"model_type": kind, "max_position_embeddings": positions} | keys
        config = {"llama": LlamaConfig, "phi3": Phi3Config}[kind](**json.loads(json.dumps(text)))
        compute = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]]
        rows = []
        for length in lengths:
            # As in a model: beyond max_position_embeddings a dynamic form is told the length as a tensor.
            dynamic = config.rope_parameters["rope_type"] == "dynamic"
            seq_len = (torch.tensor(length) if length > positions else None) if dynamic else length
            frequencies, factor = compute(config, None, seq_len=seq_len)
            rows.append({"length": length, "frequencies": frequencies.tolist(), "scale": factor})
        out.append({"config": text, "lengths": rows})
    with open(os.path.join(HERE, "ropes.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")


if __name__ == "__main__":
    main()
