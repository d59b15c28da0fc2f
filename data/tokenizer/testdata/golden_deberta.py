"""Makes deberta/spm.model, a small model of sentencepiece in DeBERTa's form, and golden_deberta.json.gz.

    python golden_deberta.py TOKENIZERS GLUE     # those of golden.py, whose texts these are

Made with transformers 5.24.0, tokenizers 0.23.3, sentencepiece 0.2.3. The ids are those of transformers' DebertaV2Converter,
which makes the tokenizer.json that DeBERTa's folders have where they have one. Where transformers 5 reads spm.model itself
(DebertaV2Tokenizer) it leaves the model's own normalisation out, with which DeBERTa was trained: the texts on which that
tells are counted, and none of them may be one that the normalisation leaves as it is.
"""

import io
import pathlib
import tempfile
import types

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from transformers import DebertaV2Tokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import DebertaV2Converter

from golden import GLUE, HERE, cases, encode, write_goldens

SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
RULES = {"\u212b": "\u00c5", "\ufb01": "fi", "\u2167": "VIII", "\u2122": "TM", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ", "\u0001": "", "\u00bd": "1/2"}
FORMS = {"deberta": {}, "deberta lower": {"do_lower_case": True}, "deberta punctuation": {"split_by_punct": True, "tokenizer_class": "DebertaV2Tokenizer"}}


def train():
    lines = [l.split("\t")[0] for l in (GLUE / "SST-2/dev.tsv").read_text().split("\n")[1:]]
    lines += ["Привет, мир! Как дела?", "今天天气很好。", "東京タワー", "Üben von Xylophon und Querflöte ist ja zweckmäßig", "résumé naïve café 1234567890"] * 20
    with tempfile.TemporaryDirectory() as folder:
        tsv = pathlib.Path(folder) / "rules.tsv"
        points = lambda text: " ".join(f"{ord(c):X}" for c in text)
        tsv.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in RULES.items()))
        blob = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=blob, vocab_size=600, model_type="unigram", normalization_rule_tsv=str(tsv), num_threads=1,
            pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
            user_defined_symbols=["<mark>"],
        )
    proto = pb.ModelProto.FromString(blob.getvalue())
    proto.trainer_spec.ClearField("input")  # of this machine
    (HERE / "deberta").mkdir(exist_ok=True)
    (HERE / "deberta/spm.model").write_bytes(proto.SerializeToString())


def converted(config):
    """What the converter makes of the folder with this tokenizer_config.json."""
    ids = {p.piece: i for i, p in enumerate(pb.ModelProto.FromString((HERE / "deberta/spm.model").read_bytes()).pieces)}
    slow = types.SimpleNamespace(
        vocab_file=str(HERE / "deberta/spm.model"), do_lower_case=config.get("do_lower_case", False), split_by_punct=config.get("split_by_punct", False),
        convert_tokens_to_ids=ids.get,
    )
    return PreTrainedTokenizerFast(tokenizer_object=DebertaV2Converter(slow).converted(), **SPECIAL)


def main():
    train()
    c = cases()
    forms = {name: {"folder": "deberta", "files": ["spm.model"], "config": config, "results": [encode(converted(config), x) for x in c]} for name, config in FORMS.items()}
    write_goldens("golden_deberta.json.gz", {"cases": c, "forms": forms})
    processor = sentencepiece.SentencePieceProcessor(model_file=str(HERE / "deberta/spm.model"))
    theirs = DebertaV2Tokenizer.from_pretrained(HERE / "deberta")
    other, far = [], []
    for x, got in zip(c, forms["deberta"]["results"]):
        text = x["text"] * x.get("repeat", 1)
        if "pair" in x or "max" in x or "[" in text or "<" in text or "\x00" in text:
            continue
        if processor.encode(text) != got["ids"][1:-1]:
            far.append(text)
        if theirs(text)["input_ids"] != got["ids"]:
            other.append(text)
    print(len(far), "texts that sentencepiece itself encodes otherwise:", far)
    print(len(other), "texts that DebertaV2Tokenizer encodes otherwise:", other)


if __name__ == "__main__":
    main()
