"""Makes the fixtures of this folder with real PEFT and transformers.

    pip install peft==0.21.2 transformers==5.23.0 torch==2.11.0 tokenizers
    python make_goldens.py

For bert and roberta each: a tiny base model with random weights and a tokenizer
(base/), examples (inputs.jsonl), and adapters as PEFT's own save_pretrained
writes them. Beside each adapter NAME lie what PEFT makes of it after loading:

    NAME.golden.safetensors   for every adapted module its rank, alpha and scaling
                              (metadata, JSON) and its delta weight
    NAME.logits.jsonl         the logits for inputs.jsonl (tagger: tag_inputs.jsonl)

roberta/head_only.logits.jsonl has the logits of roberta/unequal with no layer adapted.

matching.json has what PEFT's own functions say about module names: get_pattern_key
for rank_pattern, check_target_module_exists for target_modules.

Adapters under old/ are spelt in ways that older PEFT versions and other tools
write; PEFT loads the same weights from bert/plain.
"""

import copy
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"  # the names of the tiny base models are not on the hub

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

HERE = pathlib.Path(__file__).parent
VERSIONS = f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}"
WORDS = "a an and bad best but film fun good great i is it movie no not of plot the this was with very worst".split()
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
INPUTS = [
    {"text": "the film was good"},
    {"text": "a very bad movie with no plot"},
    {"text": "it is fun", "text_pair": "this is not the best film"},
    {"text": "unknown words and great fun"},
]
TAG_INPUTS = [{"tokens": ["the", "film", "was", "good"]}, {"tokens": ["great", "unseen", "plot"]}]


def fill(model, seed):
    """Random weights large enough that every layer matters in the logits."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator) * 0.3
        p.data = 1 + noise * 0.3 if "LayerNorm.weight" in name else noise


def bert_base(folder):
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *"##s ##n un ##known words see".split()])}
    tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tok, model_max_length=24, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    model = BertModel(BertConfig(vocab_size=len(vocab), max_position_embeddings=24, pad_token_id=0, **SIZES))
    fill(model, 1)
    model.save_pretrained(folder)


def roberta_base(folder):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "f"), ("i", "l"), ("o", "o"), ("Ġ", "the"), ("g", "oo"), ("goo", "d")]
    vocab = {t: i for i, t in enumerate(special + alphabet + [a + b for a, b in merges])}
    tok = Tokenizer(models.BPE(vocab, merges))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    PreTrainedTokenizerFast(
        tokenizer_object=tok, model_max_length=64, bos_token="<s>", pad_token="<pad>", eos_token="</s>", sep_token="</s>",
        cls_token="<s>", unk_token="<unk>", mask_token="<mask>", model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    config = RobertaConfig(vocab_size=len(vocab), max_position_embeddings=66, type_vocab_size=1, pad_token_id=1,
                           bos_token_id=0, eos_token_id=2, **SIZES)
    model = RobertaForMaskedLM(config)
    fill(model, 2)
    model.save_pretrained(folder)


def layer(prefix, i, name):
    return f"{prefix}.encoder.layer.{i}.attention.self.{name}"


def adapters():
    """Yields (family, name, labels, LoraConfig arguments)."""
    yield "bert", "plain", 3, {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"]}
    yield "bert", "patterns", 2, {
        # The first match in the file's order counts, and PEFT sorts keys on saving.
        "r": 4, "lora_alpha": 16, "target_modules": ["query", "key", "value", "output.dense"],
        "rank_pattern": {r"layer\.0\..*\.query": 2, "query": 3, "attention.output.dense": 1, "dense": 5},
        "alpha_pattern": {"layer.1.attention.self.value": 4, "bert.encoder.layer.0.output.dense": 3},
    }
    yield "bert", "rslora", 1, {
        "r": 4, "lora_alpha": 6, "use_rslora": True, "target_modules": r".*\.layer\.\d\.attention\.self\.(query|value)",
        "rank_pattern": {"value": 2},
    }
    yield "bert", "one_layer", 2, {
        "r": 2, "lora_alpha": 4, "target_modules": ["query", "intermediate.dense"], "layers_to_transform": [1],
        "layers_pattern": "layer", "exclude_modules": ["layer.1.intermediate.dense"], "modules_to_save": ["pooler"],
    }
    kept = {layer("roberta", 0, "query"): 3, layer("roberta", 0, "value"): 8, layer("roberta", 1, "value"): 1}
    yield "roberta", "unequal", 3, {  # layer 1's query has rank 0
        "r": 8, "lora_alpha": 16, "target_modules": list(kept), "rank_pattern": {k: r for k, r in kept.items() if r != 8},
    }
    yield "roberta", "alphas", 1, {
        "r": 4, "lora_alpha": 4, "target_modules": list(kept), "rank_pattern": kept, "alpha_pattern": {k: r + 0.5 for k, r in kept.items()},
    }
    yield "roberta", "tagger", 5, {"r": 2, "lora_alpha": 4, "target_modules": ["query", "value"], "task_type": "TOKEN_CLS"}


@torch.no_grad()
def compute_logits(model, tokenizer, rows):
    out = []
    for row in rows:
        if "tokens" in row:
            enc = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
            words = enc.word_ids()
            first = [i for i, w in enumerate(words) if w is not None and w not in words[:i]]
            out.append(model(**enc).logits[0][first].tolist())
        else:
            out.append(model(**tokenizer(row["text"], row.get("text_pair"), return_tensors="pt")).logits[0].tolist())
    return out


def make(family, name, labels, arguments):
    base = HERE / family / "base"
    arguments = {"task_type": "SEQ_CLS", "lora_dropout": 0.1, **arguments}
    auto = AutoModelForTokenClassification if arguments["task_type"] == "TOKEN_CLS" else AutoModelForSequenceClassification
    fresh = auto.from_pretrained(base, num_labels=labels)
    model = get_peft_model(copy.deepcopy(fresh), LoraConfig(**arguments))
    generator = torch.Generator().manual_seed(sum(map(ord, family + name)))
    for _, p in sorted(model.named_parameters()):
        if p.requires_grad:
            p.data = torch.randn(p.shape, generator=generator) * 0.3
    model.peft_config["default"].base_model_name_or_path = f"tiny-{family}"
    out = HERE / family / name
    shutil.rmtree(out, ignore_errors=True)
    model.save_pretrained(out)
    (out / "README.md").unlink()
    config = json.loads((out / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):  # PEFT writes a set, in an order of chance
        config["target_modules"].sort()
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))

    loaded = PeftModel.from_pretrained(fresh, out).eval()
    golden = {"made_with": VERSIONS, "layers": {}}
    deltas = {}
    for module_name, module in loaded.get_base_model().named_modules():
        if hasattr(module, "lora_A"):
            deltas[module_name] = module.get_delta_weight("default").detach().contiguous()
            golden["layers"][module_name] = {
                "rank": module.r["default"], "alpha": module.lora_alpha["default"], "scale": module.scaling["default"]
            }
    save_file(deltas, HERE / family / f"{name}.golden.safetensors", {"golden": json.dumps(golden, sort_keys=True)})
    tagging = arguments["task_type"] == "TOKEN_CLS"
    tokenizer = transformers.AutoTokenizer.from_pretrained(base, **({"add_prefix_space": True} if tagging else {}))
    logits = compute_logits(loaded, tokenizer, TAG_INPUTS if tagging else INPUTS)
    write_lines(HERE / family / f"{name}.logits.jsonl", [{"logits": row} for row in logits])
    if name == "unequal":  # the same head with every rank 0
        for module in loaded.modules():
            if hasattr(module, "lora_B"):
                module.lora_B["default"].weight.data.zero_()
        logits = compute_logits(loaded, tokenizer, INPUTS)
        write_lines(HERE / family / "head_only.logits.jsonl", [{"logits": row} for row in logits])


QUERY = "bert.encoder.layer.1.attention.self.query"
PATTERNS = [  # rank_pattern and a module's name
    ({}, QUERY),
    ({QUERY: 1}, QUERY),
    ({"^" + QUERY: 1}, QUERY),
    ({"self.query": 1}, QUERY),
    ({"f.query": 1}, QUERY),
    ({"attention": 1}, QUERY),
    ({"query": 1, QUERY: 2}, QUERY),
    ({QUERY: 2, "query": 1}, QUERY),
    ({"layer.1.attention.self.query": 1}, "bert.encoder.layer.11.attention.self.query"),
    ({"self.query": 1}, "x.self_query"),
    ({"key|query": 1}, QUERY),
    ({r"layer\.[0-2]\..*": 1}, QUERY),
    ({r"layer\.\d{,2}\..*": 1}, QUERY),
    ({"query": 1}, "x.query.y"),
    ({"a[0].q": 1}, "a[0].q"),
    ({"base_model.model." + QUERY: 1}, QUERY),
]
MODULES = [f"bert.encoder.layer.{i}.attention.self.{name}" for i in (0, 1) for name in ("query", "value")]
MODULES += ["classifier", "classifier.query", "encoder.h.1.self.query", "query"]
TARGETS = [  # LoraConfig arguments
    {"target_modules": ["query"]},
    {"target_modules": ["uery"]},
    {"target_modules": [MODULES[3]]},
    {"target_modules": ["self.*"]},
    {"target_modules": r".*\.1\..*"},
    {"target_modules": r".*\.\d{,2}\..*"},
    {"target_modules": "query"},
    {"target_modules": "dummy-target-modules"},
    {"target_modules": ["query", "value"], "exclude_modules": ["self.query"]},
    {"target_modules": ["query"], "exclude_modules": r".*\.0\..*"},
    {"target_modules": ["query", "classifier"], "modules_to_save": ["classifier"]},
    {"target_modules": ["query", "value"], "modules_to_save": ["self", "h.."]},
    {"target_modules": ["query"], "layers_to_transform": [1]},
    {"target_modules": ["query"], "layers_to_transform": 1},
    {"target_modules": ["query"], "layers_to_transform": [1], "layers_pattern": ["nothing", "layer"]},
    {"target_modules": ["query"], "layers_to_transform": [1], "layers_pattern": "h"},
    {"target_modules": ["query"], "layers_to_transform": []},
    {"target_modules": [MODULES[0]], "layers_to_transform": [1]},
]


def matching():
    """Asks PEFT's own matching functions."""
    patterns = []
    for pattern, module in PATTERNS:
        rank = pattern.get(get_pattern_key(pattern.keys(), module), 99)
        patterns.append({"rank_pattern": pattern, "module": module, "rank": rank})
    targets = []
    for arguments in TARGETS:
        config = LoraConfig(**arguments)
        adapted = [m for m in MODULES if check_target_module_exists(config, m)]
        targets.append({"config": {"peft_type": "LORA", **arguments}, "adapts": adapted})
    golden = {"made_with": VERSIONS, "patterns": patterns, "modules": MODULES, "targets": targets}
    (HERE / "matching.json").write_text(json.dumps(golden, indent=1) + "\n")


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def respell():
    """Writes bert/plain with the key spellings of other tools."""
    plain = HERE / "bert" / "plain"
    tensors = load_file(plain / "adapter_model.safetensors")

    def with_adapter_name(key):  # a model's own state_dict, saved as it is
        if ".classifier." in key:
            return key.replace(".classifier.", ".classifier.modules_to_save.default.")
        return key.replace(".weight", ".default.weight")

    spellings = {"adapter_name": with_adapter_name, "no_prefix": lambda key: key.removeprefix("base_model.model.")}
    for name, spell in spellings.items():
        out = HERE / "old" / name
        out.mkdir(parents=True, exist_ok=True)
        save_file({spell(k): v for k, v in tensors.items()}, out / "adapter_model.safetensors", {"format": "pt"})
        shutil.copy(plain / "adapter_config.json", out)


def main():
    for family, make_base in (("bert", bert_base), ("roberta", roberta_base)):
        shutil.rmtree(HERE / family, ignore_errors=True)
        make_base(HERE / family / "base")
        write_lines(HERE / family / "inputs.jsonl", INPUTS)
        write_lines(HERE / family / "tag_inputs.jsonl", TAG_INPUTS)
    for arguments in adapters():
        make(*arguments)
    respell()
    matching()
    for path in HERE.rglob("*.safetensors"):
        path.chmod(0o644)


if __name__ == "__main__":
    main()
