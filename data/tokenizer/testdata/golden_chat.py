"""Writes golden_chat.json.gz: the ids that transformers' apply_chat_template gives for conversations, and which of them the
assistant wrote where the template says it, with the tokenizers beside this file and the templates of
../../chattemplate/testdata.

    python golden_chat.py        (transformers 5.24.0, tokenizers 0.23.3)
"""

import datetime
import gzip
import json
import pathlib
import shutil
import tempfile

from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
TEMPLATES = HERE / "../../chattemplate/testdata/templates"


class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Then

CHATML, GEMMA, LLAMA3 = ["<|im_start|>", "<|im_end|>"], ["<start_of_turn>", "<end_of_turn>"], ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
CONFIGS = {
    "gpt2": (["gpt2/vocab.json", "gpt2/merges.txt"], {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}),
    "llama": (["llama/prepend.json"], {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
}
USED = {"smollm2": CHATML, "qwen2_5": CHATML, "qwen2_5_training": CHATML, "gemma3": GEMMA, "gemma3_training": GEMMA, "llama3_2": LLAMA3, "zephyr": [], "mistral_7b": []}

tool = {"type": "function", "function": {"name": "f", "description": "é", "parameters": {"type": "object", "properties": {}}}}
call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
CONVERSATIONS = {
    "turns": ([{"role": "user", "content": " Hi there 🙂\n"}, {"role": "assistant", "content": "Hello, naïve one! 日本"}, {"role": "user", "content": "And?"}, {"role": "assistant", "content": "\n\nBye. "}], None),
    "system": ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name : Café"}, {"role": "assistant", "content": "It is."}], None),
    "tools": ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "1"}, {"role": "assistant", "content": "1"}], [tool]),
}

golden = {"configs": {}, "conversations": {k: {"messages": m, "tools": t} for k, (m, t) in CONVERSATIONS.items()}, "cases": []}
for name, (files, config) in CONFIGS.items():
    for template, special in USED.items():
        settings = {**config, "additional_special_tokens": special}
        with tempfile.TemporaryDirectory() as folder:
            for file in files:
                target = "tokenizer.json" if file.startswith("llama") else pathlib.Path(file).name
                shutil.copy(HERE / file, pathlib.Path(folder) / target)
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))
            tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = (TEMPLATES / f"{template}.jinja").read_text()
        golden["configs"].setdefault(name, {"files": files, "settings": {}})["settings"][template] = settings
        for key, (messages, tools) in CONVERSATIONS.items():
            for prompt in False, True:
                try:
                    out = tokenizer.apply_chat_template(
                        messages[:-1] if prompt else messages, tools=tools, add_generation_prompt=prompt, return_dict=True, return_assistant_tokens_mask=True
                    )
                except Exception:
                    continue
                case = {"tokenizer": name, "template": template, "conversation": key, "prompt": prompt, "ids": out["input_ids"]}
                if template.endswith("training"):
                    case["mask"] = out["assistant_masks"]
                golden["cases"].append(case)
(HERE / "golden_chat.json.gz").write_bytes(gzip.compress(json.dumps(golden).encode(), mtime=0))
print(len(golden["cases"]))
