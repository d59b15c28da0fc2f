"""Models that bitsandbytes holds in 8 and 4 bits, and what it makes of numbers.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.0 bitsandbytes==0.50.2 accelerate==1.15.0
    python testdata/nn/make_quantised.py

Folders as transformers saves them, quantised on the CPU:
  llama-nf4   llama-tiny in NF4, its absolute maxima quantised too (bnb_4bit_use_double_quant)
  gpt2-nf4    gpt2-tiny in NF4, whose matrices are then stored [out, in]
  llama-fp4   llama-tied in FP4
  bert-int8   bert-tiny in LLM.int8's form, with its pooler
expected-NAME has `weight.NAME`, the quantised matrices of the first block as bitsandbytes dequantises them, in float32 (`…bf16`
rounded to bfloat16), the batch of the model that it was made of, and `logits.f64`, transformers' in float64 of the model with all its
matrices dequantised to float32.

expected-quantised: matrices `NAME.w`; `NAME.nf4` (codes two a byte), `NAME.absmax`, `NAME.values` [out, in]; `NAME.int8`, `NAME.SCB` and
`NAME.rows` [out, in] as bitsandbytes quantises and dequantises them. `whole` has whole blocks of 64; `odd` has an odd number of
elements and a last block that is not full; `edges` has values half way between two of NF4, a block of zeros and one of one value.
"""

import json
import os
import shutil

import bitsandbytes
import bitsandbytes.functional as bnb
import safetensors
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig

import decoder_fixture
import fixture
from fixture import HERE, inputs, noise, prefixed, save, setup, write_json
from make_models import load as load_encoder

fixture.DTYPES |= {torch.uint8: "U8", torch.int8: "I8"}
VERSION = {"bitsandbytes": bitsandbytes.__version__}


def matrices():
    code = bnb.get_4bit_type("nf4", device="cpu")
    edges = torch.zeros(3, 64)
    edges[0, :15] = (code[1:] + code[:-1]) / 2  # half way, in a block whose largest is 1
    edges[0, 15:31] = code
    edges[2] = -0.0625
    return {"whole": noise((6, 64), 1, 0.4), "odd": noise((5, 27), 2, 3.0), "edges": edges}


def numbers():
    tensors = {}
    for name, w in matrices().items():
        codes, state = bnb.quantize_4bit(w, blocksize=64, quant_type="nf4")
        tensors |= {f"{name}.w": w, f"{name}.nf4": codes.reshape(-1), f"{name}.absmax": state.absmax}
        tensors[f"{name}.values"] = bnb.dequantize_4bit(codes, state)
        rows = w[(w != 0).any(1)]  # of a row of zeros it makes nothing of sense
        cb, scb, _ = bnb.int8_vectorwise_quant(rows)
        tensors |= {f"{name}.int8": cb, f"{name}.SCB": scb, f"{name}.rows": bnb.int8_vectorwise_dequant(cb, scb)}
    save("expected-quantised.safetensors", tensors, **VERSION)


def dense(module):
    """The weight of a quantised module as bitsandbytes dequantises it, in float32 and in the type that it computes in."""
    if isinstance(module, bitsandbytes.nn.Linear4bit):
        state = module.weight.quant_state
        rounded = bnb.dequantize_4bit(module.weight.data, state)
        state.dtype = torch.float32
        return bnb.dequantize_4bit(module.weight.data, state), rounded
    state = module.weight
    values = bnb.int8_vectorwise_dequant(state.data, state.SCB)
    return values, values.bfloat16()


def model(name, of, auto, load, b, **config):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    quantised = auto.from_pretrained(
        os.path.join(HERE, of), quantization_config=BitsAndBytesConfig(**config), dtype=torch.bfloat16, device_map="cpu"
    )
    quantised.save_pretrained(folder)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    write_json(f"{name}/config.json", {k: v for k, v in config.items() if k != "_name_or_path"})
    tensors = {}
    with safetensors.safe_open(os.path.join(folder, "model.safetensors"), "pt") as f:
        stored = {k: f.get_tensor(k).clone() for k in f.keys()}  # of a file that is written next
    os.remove(os.path.join(folder, "model.safetensors"))  # which only its owner may read
    save(f"{name}/model.safetensors", stored, **VERSION)
    if os.path.exists(other := os.path.join(folder, "generation_config.json")):
        os.remove(other)
    full = load(of)
    with torch.no_grad():
        plain = {k: t for k, t in stored.items()}
        for key, p in full.named_parameters():
            path = key.removesuffix(".weight")
            module = dict(quantised.named_modules())[path] if key.endswith(".weight") else None
            if isinstance(module, (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)):
                values, rounded = dense(module)
                if "0" in path.split("."):
                    tensors |= {f"weight.{key}": values, f"weight.{key}.bf16": rounded}
                p.copy_(values.t() if of.startswith("gpt2") else values)
            else:
                p.copy_(plain[key].double())
        if "want" in b:
            logits = decoder_fixture.wanted_logits(full, b)
        else:
            logits = full(**inputs(b)).logits
    save(f"expected-{name}.safetensors", tensors | prefixed("batch", b) | {"logits.f64": logits}, **VERSION)


def batch_of(name):
    with safetensors.safe_open(os.path.join(HERE, f"expected-{name}.safetensors"), "pt") as f:
        return {k.removeprefix("batch."): f.get_tensor(k) for k in f.keys() if k.startswith("batch.")}


def main():
    setup()
    numbers()
    decoder = lambda name: decoder_fixture.load(name, torch.float64)
    encoder = lambda name: load_encoder(name, torch.float64)[0]
    four = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.bfloat16}
    llama, tied = batch_of("llama-tiny-lora"), batch_of("llama-tied-lora")
    model("llama-nf4", "llama-tiny", AutoModelForCausalLM, decoder, llama, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, **four)
    model("llama-fp4", "llama-tied", AutoModelForCausalLM, decoder, tied, bnb_4bit_quant_type="fp4", **four)
    model("gpt2-nf4", "gpt2-tiny", AutoModelForCausalLM, decoder, batch_of("gpt2-tiny-lora"), bnb_4bit_quant_type="nf4", **four)
    model("bert-int8", "bert-tiny", AutoModelForSequenceClassification, encoder, batch_of("bert-tiny-lora"), load_in_8bit=True)


if __name__ == "__main__":
    main()
