"""Tiny decoders in Hugging Face form, and what transformers and PEFT compute with them.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2    # from qwen3-tiny on: 2.15.0, 5.24.0, 0.21.0
    python testdata/nn/make_decoders.py                            # [NAME…]: of these models alone

Folders (config.json, model.safetensors), all float32:
  gpt2-tiny      GPT2LMHeadModel, tied head, feed-forward 4·C; LoRA's own GPT-2 can be built from it too
  gpt2-hub       the form of the first GPT-2 checkpoints: no "transformer." before names, buffers with masks of attention
  llama-tiny     LlamaForCausalLM, grouped queries, its own head
  llama-llama3   rope_scaling of type llama3, in the form of the hub's folders: rope_theta, rope_scaling {rope_type: …}
  llama-linear   rope_scaling linear, in the form before transformers 4.45 ({type: …}); head_dim is not C/H
  llama-bias     attention_bias and mlp_bias
  llama-tied     a tied head, and 3 heads to 1 of keys (as SmolLM)
  qwen2-tiny     Qwen2ForCausalLM: biases of query, key and value, a tied head
  mistral-tiny   MistralForCausalLM: a sliding window of 4 tokens, its own included
  qwen3-tiny     Qwen3ForCausalLM: norms of queries and keys, head_dim is not C/H, a window of 4 tokens in the last block
  gemma3-tiny    Gemma3ForCausalLM: norms of 1 + w, also after each layer, GELU, embeddings times √18, a window of 4 tokens in the
                 first and the last of three blocks, with another base of rotary embeddings, which are linear in the other
  gemma3-hub     in the form of the first hub's folders: sliding_window_pattern, rope_theta, rope_local_base_freq
  qwen2-window   Qwen2 with a window of 3 tokens in the last block, in the form of the hub's folders: no layer_types
  phi3-tiny      Phi3ForCausalLM: fused matrices, rotary embeddings of three quarters of a head, of type longrope, in the form of
                 the hub's first folders; texts of its batch are longer than in pre-training
  llama-yarn     rope_type yarn
  llama-dynamic  rope_type dynamic; texts of its batch are longer than in pre-training
  smollm3-tiny   SmolLM3ForCausalLM: no rotary embeddings and a window of 4 tokens in the first of two blocks
  olmo2-tiny     Olmo2ForCausalLM: norms after each layer and none before, of all queries and of all keys as one
  gemma2-tiny    Gemma2ForCausalLM: gemma3-tiny's norms, activation and embeddings, a window of 4 tokens in the first of two
                 blocks, soft caps on the scores of attention and on those of tokens that bend both
They have config.json as transformers 5 writes it, with rope_parameters and layer_types, where nothing else is said.

Adapters as PEFT writes them:
  gpt2-tiny-lora        query and value of c_attn with a LoRA each, r = 3, in PEFT's only form for that: one A for c_attn,
                        those of query and value one below the other, and one B with theirs as blocks, each times its
                        lora_alpha / r in float32, and zeros else; rank = alpha for every layer, so that PEFT scales by 1
  gpt2-tiny-lora-ranks  likewise, layer 0: query 3, value 1; layer 1: query 0, value 5
  gpt2-tiny-lora-whole  PEFT's LoRA on the whole of c_attn, r = 2: B is full
  NAME-lora             r = 3 on q_proj and v_proj, NAME a folder of the LLaMA family; from qwen3-tiny on r = 2 on all-linear

A batch holds texts of a context and a target; `want` are the rows that predict a token of a target (see
decoder_fixture.batch). transformers gets it padded on the right, with its mask. The loss is the mean cross entropy over
the wanted rows.

expected-NAME, for gpt2-tiny, llama-tiny and from qwen3-tiny on: the batch, the logits of the wanted rows [M, V], loss, loss.smoothed (labels
smoothed by 0.1), the gradient of every parameter; …-adamw: the losses before each of ten AdamW steps on that batch and
the parameters after them (lr 1e-3, weight decay 0.01 on all of them). expected-ADAPTER has all of that for A and B, and
the logits and loss without the adapter (`base.logits`, `base.loss`). expected-gpt2-hub and expected-gpt2-tiny-lora-whole
have batch, logits and loss.

GPT-2's two LoRAs of a layer are trained apart, by plain PyTorch: their names are those of PEFT's for modules
"…attn.c_attn.query" and "…attn.c_attn.value", and `init.*` are A and B at the start, without lora_alpha / r.
`peft.logits` and `peft.loss` are PEFT's own with the folder.

`logits`, `loss`, `loss.smoothed`, `steps.loss` and `peft.*` are of a float32 run, the same names with `.f64` of a float64
run of the same weights; `base.*` is float64; `grad.*` and `final.*` are of the float64 run, rounded to float32. Attention
is eager, the model in eval mode. Three things of transformers that stay float32 in a float64 run are float64 here: RMS norms,
the softmax of attention, and the base of dynamic rotary embeddings. One is left: cosine and sine of rotary embeddings are float32's. How far torch's own float32 run is
from these numbers is in the metadata (`float32_error_*`). It is large for the key biases of GPT-2 after Adam
(c_attn.bias[C:2C]), and named apart: a key bias shifts all scores of a softmax row alike, so its true gradient is 0 and
what is computed is rounding noise, which Adam scales up. (With rotary embeddings it is not 0.)
"""

import os
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from decoder_fixture import SMOOTHING, PartsLoRA, batch, fill, load, loss_of, wanted_logits, with_parts, write_folder
from fixture import HERE, noise, prefixed, save, save_adapter, setup
from make_models import error, trainable

STEPS = 10
RANK, ALPHA = 3, 8
PARTS = {
    "gpt2-tiny-lora": [{"query": RANK, "value": RANK}] * 2,
    "gpt2-tiny-lora-ranks": [{"query": 3, "value": 1}, {"query": 0, "value": 5}],
}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
SMALL = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 64}
IDS = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": None}


def folders():
    """name: the model, what its config.json says otherwise."""
    gpt2 = GPT2Config(vocab_size=60, n_positions=64, n_embd=24, n_layer=2, n_head=4, **NO_DROPOUT, **IDS)
    hub = GPT2Config(vocab_size=40, n_positions=16, n_embd=12, n_layer=1, n_head=2, **NO_DROPOUT, **IDS)
    llama = LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, **IDS,
    )
    llama3 = {
        "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
    }
    grouped = SMALL | {"num_attention_heads": 2, "num_key_value_heads": 1} | IDS
    scaled = LlamaConfig(**grouped | {"max_position_embeddings": 256}, rope_parameters={"rope_theta": 10000.0, **llama3})
    linear = LlamaConfig(
        **grouped | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6},
        rope_parameters={"rope_theta": 500.0, "rope_type": "linear", "factor": 2.5},
    )
    bias = LlamaConfig(**grouped, attention_bias=True, mlp_bias=True)
    tied = LlamaConfig(**grouped | {"hidden_size": 18, "num_attention_heads": 3}, tie_word_embeddings=True)
    qwen2 = Qwen2Config(**grouped, tie_word_embeddings=True)
    mistral = MistralConfig(**grouped, sliding_window=4, tie_word_embeddings=False)
    qwen3 = Qwen3Config(
        **grouped | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6},
        use_sliding_window=True, sliding_window=4, max_window_layers=1, tie_word_embeddings=True,
    )
    window = Qwen2Config(**grouped, use_sliding_window=True, sliding_window=3, max_window_layers=1, tie_word_embeddings=True)
    gemma3 = Gemma3TextConfig(
        **grouped | {"hidden_size": 18, "num_hidden_layers": 3, "num_attention_heads": 3, "pad_token_id": 0}, head_dim=8, query_pre_attn_scalar=6,
        sliding_window=4, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        },
    )
    gemma3_hub = Gemma3TextConfig(
        **grouped | {"num_hidden_layers": 2, "pad_token_id": 0}, head_dim=8, query_pre_attn_scalar=8, sliding_window=5,
        sliding_window_pattern=2, rope_theta=1e6, rope_local_base_freq=1e4,
    )
    long = {"short_factor": [1.0, 1.3, 2.0], "long_factor": [1.0, 2.5, 7.0]}
    phi3 = Phi3Config(
        **grouped | {"pad_token_id": 0}, original_max_position_embeddings=8, tie_word_embeddings=True,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.75} | long,
    )
    stretched = lambda positions, **rope: LlamaConfig(**grouped | {"max_position_embeddings": positions}, rope_parameters={"rope_theta": 1e4} | rope)
    yarn = stretched(64, rope_type="yarn", factor=4.0, original_max_position_embeddings=16)
    dynamic = stretched(8, rope_type="dynamic", factor=4.0)
    smollm3 = SmolLM3Config(**grouped | {"pad_token_id": 0}, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=4)
    olmo2 = Olmo2Config(**grouped | {"num_attention_heads": 4, "num_key_value_heads": 2}, attention_bias=True)
    gemma2 = Gemma2Config(
        **grouped | {"hidden_size": 18, "num_attention_heads": 3, "pad_token_id": 0}, head_dim=8, query_pre_attn_scalar=6, sliding_window=4,
        attn_logit_softcapping=0.5, final_logit_softcapping=1.25,
    )
    old = lambda theta, scaling: {"rope_parameters": None, "rope_theta": theta, "rope_scaling": scaling}
    return {
        "gpt2-tiny": (GPT2LMHeadModel(gpt2), {}),
        "gpt2-hub": (GPT2LMHeadModel(hub), {"n_ctx": 16, "n_inner": None}),
        "llama-tiny": (LlamaForCausalLM(llama), {}),
        "llama-llama3": (LlamaForCausalLM(scaled), old(10000.0, llama3)),
        "llama-linear": (LlamaForCausalLM(linear), old(500.0, {"type": "linear", "factor": 2.5})),
        "llama-bias": (LlamaForCausalLM(bias), {}),
        "llama-tied": (LlamaForCausalLM(tied), {}),
        "qwen2-tiny": (Qwen2ForCausalLM(qwen2), {}),
        "mistral-tiny": (MistralForCausalLM(mistral), {}),
        "qwen3-tiny": (Qwen3ForCausalLM(qwen3), {}),
        "gemma3-tiny": (Gemma3ForCausalLM(gemma3), {}),
        "gemma3-hub": (
            Gemma3ForCausalLM(gemma3_hub),
            {"layer_types": None, "sliding_window_pattern": 2} | old(1e6, None) | {"rope_scaling": None, "rope_local_base_freq": 1e4},
        ),
        "qwen2-window": (Qwen2ForCausalLM(window), {"layer_types": None}),
        "phi3-tiny": (
            Phi3ForCausalLM(phi3), old(1e4, {"type": "longrope"} | long) | {"partial_rotary_factor": 0.75},
        ),
        "llama-yarn": (LlamaForCausalLM(yarn), {}),
        "llama-dynamic": (LlamaForCausalLM(dynamic), {}),
        "smollm3-tiny": (SmolLM3ForCausalLM(smollm3), {}),
        "olmo2-tiny": (Olmo2ForCausalLM(olmo2), {}),
        "gemma2-tiny": (Gemma2ForCausalLM(gemma2), {}),
    }


def hub_tensors(model):
    """The keys of the first checkpoints, with the buffers that old releases stored."""
    tensors = {k.removeprefix("transformer."): t for k, t in model.state_dict().items() if k != "lm_head.weight"}
    for layer in range(model.config.n_layer):
        n = model.config.n_positions
        tensors[f"h.{layer}.attn.bias"] = torch.ones(n, n).tril()[None, None]
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return tensors


def run(model, params, b):
    """Logits, losses and gradients at the start, then ten AdamW steps on the same batch."""
    optimizer = torch.optim.AdamW(params.values(), lr=1e-3, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = wanted_logits(model, b)
        loss = loss_of(logits, b["labels"])
        loss.backward()
        losses.append(loss.detach())
        if step == 0:
            first = {"logits": logits.detach(), "loss": loss.detach()[None]}
            first["loss.smoothed"] = loss_of(logits, b["labels"], SMOOTHING).detach()[None]
            first["grad"] = {k: p.grad.clone() for k, p in params.items()}
        optimizer.step()
    finals = {k: p.detach() for k, p in params.items()}
    return {**first, "steps.loss": torch.stack(losses), "final": finals}


def without_key_biases(tensors):
    return {k: torch.cat([p[:, None] for p in t.chunk(3)[::2]]) if k.endswith("c_attn.bias") else t for k, t in tensors.items()}


def expect(name, b, build):
    """The tensors and the metadata of the runs of model, parameters = build(dtype) in both precisions."""
    single, double = (run(*build(dtype), b) for dtype in (torch.float32, torch.float64))
    tensors = prefixed("batch", b)
    for key in ("logits", "loss", "loss.smoothed", "steps.loss"):
        tensors[key], tensors[key + ".f64"] = single[key], double[key]
    for key in ("grad", "final"):
        tensors |= prefixed(key, {k: t.float() for k, t in double[key].items()})
    errors = {
        "float32_error_grad": error(single["grad"], double["grad"]),
        "float32_error_final": error(without_key_biases(single["final"]), without_key_biases(double["final"])),
    }
    if any(k.endswith("c_attn.bias") for k in double["final"]):
        errors["float32_error_final_key_bias"] = error(single["final"], double["final"])
    far = (single["logits"].double() - double["logits"]).abs().max().item()
    print(name, "loss", [f"{x:.3f}" for x in double["steps.loss"].tolist()], f"logits {far:.1e}", errors)
    return tensors, errors


def expect_full(name, b):
    def build(dtype):
        model = load(name, dtype)
        return model, dict(model.named_parameters())

    tensors, errors = expect(name, b, build)
    later = {k: t for k, t in tensors.items() if k.startswith(("steps.", "final."))}
    save(f"expected-{name}.safetensors", {k: t for k, t in tensors.items() if k not in later}, **errors)
    save(f"expected-{name}-adamw.safetensors", later, **errors)


def fill_adapter(params, seed):
    with torch.no_grad():
        for n, (key, p) in enumerate(params.items()):
            p.copy_(noise(p.shape, seed + n, 0.3 if "lora_A" in key else 0.2))


def lora_config(base, **options):
    return LoraConfig(task_type="CAUSAL_LM", lora_alpha=ALPHA, lora_dropout=0.0, base_model_name_or_path=base, **options)


def peft_values(base, name, b):
    out = {}
    for suffix, dtype in (("", torch.float32), (".f64", torch.float64)):
        with torch.no_grad():
            logits = wanted_logits(peft_model(base, name, dtype), b)
            out[f"logits{suffix}"], out[f"loss{suffix}"] = logits, loss_of(logits, b["labels"])[None]
    return out


def peft_model(base, name, dtype):
    """The base in dtype with PEFT's adapter. PEFT makes its factors float32, whatever the base: cast them too."""
    model = PeftModel.from_pretrained(load(base, dtype), os.path.join(HERE, name), is_trainable=True).eval()
    return model.to(dtype)


def base_values(base, b):
    with torch.no_grad():
        logits = wanted_logits(load(base, torch.float64), b)
    return {"base.logits": logits, "base.loss": loss_of(logits, b["labels"])[None]}


def expect_adapter(name, base, b, seed, **options):
    model = get_peft_model(load(base, torch.float32), lora_config(base, **options))
    fill_adapter(trainable(model), seed)
    save_adapter(name, base, model)

    def build(dtype):
        model = peft_model(base, name, dtype)
        return model, trainable(model)

    tensors, errors = expect(name, b, build)
    save(f"expected-{name}.safetensors", tensors | base_values(base, b), **errors)


def expect_parts(name, base, b, seed):
    """The LoRAs of query and value, trained apart, and PEFT's folder of their start."""
    def build(dtype):
        model = load(base, torch.float32)
        params = with_parts(model, PARTS[name], ALPHA)
        fill_adapter(params, seed)
        return model.eval().to(dtype), params

    parts, init = build(torch.float32)
    blocks = {f"transformer.h.{n}.attn.c_attn": block.attn.c_attn for n, block in enumerate(parts.transformer.h)}
    blocks = {k: m for k, m in blocks.items() if isinstance(m, PartsLoRA)}
    ranks = {k: sum(m.ranks.values()) for k, m in blocks.items()}
    model = get_peft_model(load(base, torch.float32), lora_config(
        base, r=RANK, target_modules=sorted(blocks), rank_pattern=ranks, alpha_pattern=ranks, fan_in_fan_out=True,
    ))
    with torch.no_grad():
        for key, m in blocks.items():
            lora = model.get_submodule(f"base_model.model.{key}")
            assert lora.scaling["default"] == 1
            for p, value in zip((lora.lora_A["default"].weight, lora.lora_B["default"].weight), m.folded()):
                p.copy_(value)
    save_adapter(name, base, model)

    tensors, errors = expect(name, b, build)
    tensors |= prefixed("init", {k: p.detach() for k, p in init.items()})
    tensors |= prefixed("peft", peft_values(base, name, b)) | base_values(base, b)
    for key, bound in (("logits", 5e-6), ("logits.f64", 2e-7)):  # B·alpha/r is rounded to float32 in the folder
        far = (tensors[key] - tensors[f"peft.{key}"]).abs().max().item()
        print(f"{name}: {key} of PEFT differ by {far:.1e}")
        assert far < bound
    save(f"expected-{name}.safetensors", tensors, **errors)


def expect_whole(name, base, b, seed):
    model = get_peft_model(load(base, torch.float32), lora_config(base, r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    fill_adapter(trainable(model), seed)
    save_adapter(name, base, model)
    save(f"expected-{name}.safetensors", prefixed("batch", b) | peft_values(base, name, b))


def main():
    setup()
    warnings.filterwarnings("ignore", ".*(fetch remote file|find a config file)")  # PEFT looks for the base on the hub
    models = folders()
    first = list(models).index("qwen3-tiny")  # and those after it have everything
    names = sys.argv[1:] or list(models)
    sys.argv = sys.argv[:1]
    for n, (name, (model, keys)) in enumerate(models.items()):
        if name not in names:
            continue
        fill(model, seed=8000 + 100 * n)
        write_folder(name, model, keys, hub_tensors(model) if name == "gpt2-hub" else None)
        for key, p in model.state_dict().items():
            assert torch.equal(p, load(name, torch.float32).state_dict()[key]), (name, key)
    large = batch([6, 3, 11, 1], [9, 3, 13, 6], 60, seed=7000)
    same = batch([4, 9], [11, 6], 40, seed=7200)  # of one length, for transformers has one rotary embedding for all of a batch
    small = batch([4, 9, 2], [5, 12, 2], 40, seed=7100)
    for n, name in enumerate(models):
        if name not in names:
            continue
        if name == "gpt2-hub":
            b = batch([4, 9, 2], [5, 8, 2], 40, seed=7100)
            with torch.no_grad():
                logits, double = (wanted_logits(load(name, dtype), b) for dtype in (torch.float32, torch.float64))
            loss, loss64 = loss_of(logits, b["labels"])[None], loss_of(double, b["labels"])[None]
            save(f"expected-{name}.safetensors", {
                **prefixed("batch", b), "logits": logits, "logits.f64": double, "loss": loss, "loss.f64": loss64,
            })
            continue
        b = large if name in ("gpt2-tiny", "llama-tiny") else same if name in ("phi3-tiny", "llama-dynamic") else small
        if b is large or n >= first:
            expect_full(name, b)
        if name == "gpt2-tiny":
            for m, adapter in enumerate(PARTS):
                expect_parts(adapter, name, b, seed=9000 + 50 * m)
            expect_whole("gpt2-tiny-lora-whole", name, b, seed=9150)
        else:
            options = {"r": 2, "target_modules": "all-linear"} if n >= first else {"r": RANK, "target_modules": ["q_proj", "v_proj"]}
            expect_adapter(f"{name}-lora", name, b, seed=9000 + 100 * n, **options)


if __name__ == "__main__":
    main()
