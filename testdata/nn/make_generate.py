"""What transformers.generate and LoRA's own decoder (gpt2_beam.py) generate with tiny decoders, token for token.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2 loralib==0.1.2   # after make_decoders.py
    python testdata/nn/make_generate.py LORA      # a checkout of github.com/microsoft/LoRA, commit c4593f0
    python testdata/nn/make_generate.py NAME…     # generate-NAME.json of these, of TODAYS, alone

gpt2-generate (config.json, model.safetensors) is a GPT2LMHeadModel whose weights are large enough for its texts not to
repeat one token; for LLaMA it is llama-tiny of make_decoders.py.

generate-gpt2.json, generate-llama.json, and with fewer cases generate-NAME.json of TODAYS: `prompts`, and `cases`, each with
  by           transformers or lora
  settings     the arguments of generate, or of gpt2_beam.py
  outputs      for each prompt the best hypotheses, best first (one of greedy search and of lora): `ids`, the new tokens up
               to and with the first end token, and `score` (none of greedy search)
Numbers are of float32 runs. Every output is the same in float64, and with all embeddings scaled by 1 ± 1e-6: no choice
hangs on rounding. transformers' are of each prompt alone; the batch padded on the left with id 0 gives the same, but for
texts with a generated id 0 while n-grams are barred, since there the n-grams of the padding count too.

Both searches, exactly; `beam_search` and `lora_search` below are the same in plain Python, and give the same outputs. B
beams, V tokens, E end ids; scores are sums of natural log probabilities, float32. `length` is the number of generated
tokens, the end token included; the prompt never counts.

transformers (GenerationMixin._beam_search, do_sample=False). Prompts do not influence each other. State of one prompt:
B running beams (tokens, score), B finished slots (tokens, normalised score; at first empty with score -1e9), and
`improvable`, at first true. Running scores start at 0 for the first beam and -1e9 for the others, so that the first step
expands one.
  1. logp [B, V] = log_softmax of the logits at each beam's last token. no_repeat_ngram_size n, if prompt and generated
     tokens are at least n: every token that would end an n-gram which is there already, in the prompt or after it, gets
     -inf. That is after the log_softmax: the other log probabilities stay.
  2. candidates = running score + logp, all B·V; keep the best K = max(2, 1 + |E|)·B, sorted. Ties: whatever topk does.
  3. A candidate is ended if its token is in E, or if it is the max_new_tokens-th token (then all are).
  4. The next running beams are the best B candidates that are not ended, in order (K is large enough; in the last step
     they are not used).
  5. Of the candidates, those that are ended and among the first B of the K are finished; an ended one further down is
     dropped. A finished one's score is sum / length^length_penalty. They are merged into the finished slots, and the best
     B of both stay. Nothing is taken in if `improvable` is false, or if early_stopping is True and all B slots are full.
  6. improvable stays true only while, with s the best running score after step 4 (the first, sums are sorted) and L the
     length reached (tokens generated so far, this step's included): not all B slots are full, or
     s / L^length_penalty > the worst score in the slots. With early_stopping "never" and length_penalty > 0 L is
     max_new_tokens. Once false it stays false.
  7. The search ends when improvable is false; or early_stopping is True and all B slots are full; or it was the
     max_new_tokens-th token. At the end the slots are full, sorted by score, best first.
No end ids (eos_token_id None): |E| = 0, K = 2·B. Greedy search (num_beams 1): the argmax of the logits with the n-grams
of step 1 set to -inf, until an end token or max_new_tokens.

LoRA (examples/NLG/src/gpt2_beam.py, with batch_size 1 as in its README: with more than one prompt and beam it reads the
first logits of all prompts but the first from a wrong row, logits[_bbatch] where logits[_bbatch * num_beams] is meant).
State of one prompt: B beams (tokens, score) and the best finished hypothesis, at first none. eval_len steps, always all of
them:
  1. n-grams: with i tokens generated before this step, if i ≥ 1 and i + 1 ≥ n = no_repeat_ngram_size: every token that
     would end an n-gram which the beam's generated tokens have already gets logit -inf. The prompt does not count. That is
     before the softmax, so the other tokens share the banned ones' probability.
  2. logp = log(softmax(logits)).
  3. First step: the best B of the V tokens after the prompt (the beams are the same). Later: the best B of all B·V sums
     score + logp, sorted. Beams that have ended have score -inf, so that they have no children while there are enough
     others. Ties: whatever topk does.
  4. Each of the B new beams whose last token is in E is finished: score / length^length_penalty. It becomes the best one
     if that is greater than the best so far (equal: the earlier step, or within a step the better beam, stays). Its beam's
     score becomes -inf. An ended candidate thus takes one of the B places in its step, and the next step refills them.
After the last step every beam that has not ended competes in the same way, as if it had ended there: score /
eval_len^length_penalty. The best is the output. There is no early end, no pool of finished ones, no padding: the output
is an array of eval_len zeros with the tokens at its start, and gpt2_decode.py decodes the whole of it, cuts the text at
the first "<|endoftext|>", then at the first blank line, and strips it; the zeros of an output without an end token are none,
for it fills the array. A prompt of more than seq_len - eval_len tokens (512 - 64) loses its first ones. repetition_penalty
is 1, where it does nothing, and min_length 0.
"""

import contextlib
import importlib
import json
import os
import sys
import tempfile
import types

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

from decoder_fixture import fill, load, token_ids, write_folder
from fixture import HERE, noise, setup
from make_decoders import IDS, NO_DROPOUT

SCRIPT = os.path.basename(sys.argv[0])
RETURNED = 4  # hypotheses of a beam search

TRANSFORMERS = {
    "generate-gpt2": ("gpt2-generate", 59, [59, 20], [59, 12, 6]),
    "generate-llama": ("llama-tiny", 3, [3, 18], [3, 55, 24]),
}

TODAYS = {  # folders by name, and their ends
    "qwen3": ("qwen3-tiny", [3, 18]), "gemma3": ("gemma3-tiny", [3, 18]), "phi3": ("phi3-tiny", [3, 18]), "smollm3": ("smollm3-tiny", [3, 18]),
    "olmo2": ("olmo2-tiny", [3, 18]), "dynamic": ("llama-dynamic", [3, 18]), "gemma2": ("gemma2-tiny", [3, 18]),
}
BY_LENGTH = ("phi3-tiny", "llama-dynamic")  # transformers turns all texts of a batch as the longest
GREEDY = {"num_beams": 1}
BEAM = {"num_beams": 4, "length_penalty": 1.0, "early_stopping": False, "no_repeat_ngram_size": 0}


def todays_cases(ends):
    return [
        GREEDY | {"max_new_tokens": 20, "eos_token_id": None, "no_repeat_ngram_size": 2},
        GREEDY | {"max_new_tokens": 20, "eos_token_id": ends, "no_repeat_ngram_size": 3},
        BEAM | {"max_new_tokens": 20, "eos_token_id": ends, "length_penalty": 0.8, "no_repeat_ngram_size": 3},
    ]


def transformers_cases(one, two, three):
    greedy, beam = GREEDY, BEAM
    return [
        greedy | {"max_new_tokens": 20, "eos_token_id": [one], "no_repeat_ngram_size": 0},
        greedy | {"max_new_tokens": 20, "eos_token_id": two, "no_repeat_ngram_size": 3},
        greedy | {"max_new_tokens": 20, "eos_token_id": None, "no_repeat_ngram_size": 2},
        beam | {"max_new_tokens": 20, "eos_token_id": [one]},
        beam | {"max_new_tokens": 20, "eos_token_id": [one], "early_stopping": True},
        beam | {"max_new_tokens": 20, "eos_token_id": two, "length_penalty": 0.8, "no_repeat_ngram_size": 3},
        beam | {"max_new_tokens": 20, "eos_token_id": three, "length_penalty": 0.8, "early_stopping": True},
        beam | {"max_new_tokens": 20, "eos_token_id": two, "length_penalty": -1.0},
        beam | {"max_new_tokens": 20, "eos_token_id": two, "length_penalty": -1.0, "early_stopping": True},
        beam | {"max_new_tokens": 12, "eos_token_id": None, "length_penalty": 0.0},
        beam | {"max_new_tokens": 20, "eos_token_id": three, "early_stopping": "never"},
        beam | {"max_new_tokens": 1, "eos_token_id": two},
        beam | {"num_beams": 2, "max_new_tokens": 30, "eos_token_id": two, "length_penalty": 1.0, "no_repeat_ngram_size": 2},
        beam | {"num_beams": 10, "max_new_tokens": 20, "eos_token_id": two, "length_penalty": 0.8, "no_repeat_ngram_size": 4},
        beam | {"num_beams": 10, "max_new_tokens": 20, "eos_token_id": three, "early_stopping": True, "no_repeat_ngram_size": 3},
        beam | {"num_beams": 10, "max_new_tokens": 20, "eos_token_id": [one], "length_penalty": -1.0, "no_repeat_ngram_size": 3},
        beam | {"num_beams": 10, "max_new_tokens": 20, "eos_token_id": two, "length_penalty": 0.8, "early_stopping": "never"},
    ]


LORA = [
    {"beam": 10, "length_penalty": 0.8, "no_repeat_ngram_size": 4, "eval_len": 20, "eos_token_id": [59, 20]},
    {"beam": 10, "length_penalty": 0.9, "no_repeat_ngram_size": 2, "eval_len": 30, "eos_token_id": [59, 12]},
    {"beam": 10, "length_penalty": 1.0, "no_repeat_ngram_size": 3, "eval_len": 12, "eos_token_id": [1]},
    {"beam": 10, "length_penalty": 0.0, "no_repeat_ngram_size": 0, "eval_len": 20, "eos_token_id": [20, 59]},
    {"beam": 4, "length_penalty": 0.8, "no_repeat_ngram_size": 1, "eval_len": 16, "eos_token_id": [59]},
    {"beam": 1, "length_penalty": 0.8, "no_repeat_ngram_size": 4, "eval_len": 20, "eos_token_id": [59, 20]},
]


def write_model():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=60, n_positions=64, n_embd=24, n_layer=2, n_head=4, **NO_DROPOUT, **IDS))
    fill(model, seed=8800, bound=0.5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.mul_(1.8 if ".h." in name and p.dim() == 2 else 2.4 if "wpe" in name else 1)
    write_folder("gpt2-generate", model, {})


def shaken(model, seed):
    """The model with another rounding, so to say."""
    with torch.no_grad():
        for p in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            p.mul_(1 + noise(p.shape, seed, 1e-6).to(p.dtype))
    return model


def up_to_end(ids, ends):
    for n, token in enumerate(ids):
        if token in (ends or []):
            return ids[: n + 1]
    return ids


def generate(model, prompts, settings):
    """Per prompt a list of (new tokens, score), for a batch padded on the left."""
    for module in model.modules():
        if getattr(module, "rope_type", None) == "dynamic":  # it remembers the longest text that it has seen
            module.max_seq_len_cached, module.inv_freq = module.original_max_seq_len, module.original_inv_freq
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    returned = min(RETURNED, settings["num_beams"])
    options = {k: v for k, v in settings.items() if k != "no_repeat_ngram_size" or v > 0}
    out = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, pad_token_id=0, num_return_sequences=returned,
        return_dict_in_generate=True, output_scores=True, **options,
    )
    beams = settings["num_beams"] > 1
    rows = [up_to_end(row[width:].tolist(), settings["eos_token_id"]) for row in out.sequences]
    scores = out.sequences_scores.tolist() if beams else [None] * len(rows)
    pairs = list(zip(rows, scores))
    return [pairs[i : i + returned] for i in range(0, len(pairs), returned)]


def same(outputs, others):
    """The same tokens, and scores but for rounding."""
    flat = lambda o: [h for hypotheses in o for h in hypotheses]
    return all(
        ids == other and (score is None or abs(score - other_score) < 1e-4 * max(1, abs(score)))
        for (ids, score), (other, other_score) in zip(flat(outputs), flat(others), strict=True)
    )


def case(by, settings, outputs):
    hypotheses = lambda o: [{"ids": ids} | ({} if score is None else {"score": score}) for ids, score in o]
    return {"by": by, "settings": settings, "outputs": [hypotheses(o) for o in outputs]}


def barred(tokens, n):
    """The tokens that would end an n-gram which tokens have already."""
    if n == 0 or len(tokens) < n:
        return []
    last = tokens[len(tokens) - n + 1 :]
    return [tokens[i + n - 1] for i in range(len(tokens) - n + 1) if tokens[i : i + n - 1] == last]


def next_logits(model, prompt, beams):
    with torch.no_grad():
        return model(torch.tensor([prompt + tokens for tokens, _ in beams]))[0][:, -1].float()


def best(sums, count):
    """The largest of sums [B, V], sorted: (beam, token, sum)."""
    values, at = sums.flatten().topk(count)
    return [(i // sums.shape[1], i % sums.shape[1], v) for i, v in zip(at.tolist(), values.tolist())]


def beam_search(model, prompt, num_beams, max_new_tokens, eos_token_id, length_penalty, early_stopping, no_repeat_ngram_size):
    """transformers' beam search for one prompt: (tokens, score), best first."""
    ends, beams, finished, improvable = eos_token_id or [], [([], 0.0)] + [([], -1e9)] * (num_beams - 1), [], True
    for length in range(1, max_new_tokens + 1):
        logp = next_logits(model, prompt, beams).log_softmax(-1)
        for row, (tokens, _) in zip(logp, beams):
            row[barred(prompt + tokens, no_repeat_ngram_size)] = -torch.inf
        sums = logp + torch.tensor([score for _, score in beams])[:, None]
        candidates = [
            (beams[b][0] + [token], score, token in ends or length == max_new_tokens)
            for b, token, score in best(sums, max(2, 1 + len(ends)) * num_beams)
        ]
        beams = [(tokens, score) for tokens, score, ended in candidates if not ended][:num_beams]
        full = len(finished) == num_beams
        if improvable and not (full and early_stopping is True):
            finished += [(t, score / length**length_penalty) for t, score, ended in candidates[:num_beams] if ended]
            finished = sorted(finished, key=lambda h: -h[1])[:num_beams]
            full = len(finished) == num_beams
        if length == max_new_tokens or (full and early_stopping is True):
            break
        reach = max_new_tokens if early_stopping == "never" and length_penalty > 0 else length
        improvable = not full or beams[0][1] / reach**length_penalty > finished[-1][1]
        if not improvable:
            break
    return finished


def lora_search(model, prompt, beam, eval_len, eos_token_id, length_penalty, no_repeat_ngram_size):
    """gpt2_beam.py's beam search for one prompt: (tokens, score)."""
    beams, found = [([], 0.0)], ([], -torch.inf)
    for length in range(1, eval_len + 1):
        logits = next_logits(model, prompt, beams)
        for row, (tokens, _) in zip(logits, beams):
            row[barred(tokens, no_repeat_ngram_size)] = -torch.inf
        sums = logits.softmax(-1).log() + torch.tensor([score for _, score in beams])[:, None]
        beams = [(beams[b][0] + [token], score) for b, token, score in best(sums, beam)]
        for n, (tokens, score) in enumerate(beams):
            if tokens[-1] in eos_token_id or length == eval_len:
                if score / length**length_penalty > found[1]:
                    found = tokens, score / length**length_penalty
                beams[n] = tokens, -torch.inf
    return found


def run_transformers(folder, prompts, cases):
    model, others = load(folder, torch.float32), [load(folder, torch.float64), shaken(load(folder, torch.float32), 1)]
    others.append(shaken(load(folder, torch.float64), 2))
    out = []
    for settings in cases:
        alone = lambda model: [generate(model, [p], settings)[0] for p in prompts]
        outputs = alone(model)
        for other in others:
            assert same(outputs, alone(other)), ("hangs on rounding", settings)
        padded = outputs if folder in BY_LENGTH else generate(model, prompts, settings)
        for one, p in zip(outputs, padded):
            assert same([one], [p]) or settings["no_repeat_ngram_size"] and any(0 in ids for ids, _ in one), settings
        if settings["num_beams"] > 1 and folder != "llama-dynamic":  # beam_search turns anew what was read before
            assert same(outputs, [beam_search(model, p, **settings)[:RETURNED] for p in prompts]), settings
        out.append(case("transformers", settings, outputs))
        lengths = [[len(ids) for ids, _ in o] for o in outputs]
        print(folder, {k: v for k, v in settings.items()}, "lengths", lengths)
    return out


def lora_modules(checkout):
    """gpt2_beam.py and model.py, unmodified. Only what gathers over processes is left out."""
    sys.path.insert(0, os.path.join(checkout, "examples", "NLG", "src"))
    beam, model = importlib.import_module("gpt2_beam"), importlib.import_module("model")
    beam.distributed_gather, beam.distributed_sync = lambda args, x: x, lambda args: None
    add = beam._add_beam_candidate

    def add_and_note(best_score, *args, **kwargs):
        add(best_score, *args, **kwargs)
        beam.best_score = best_score

    beam._add_beam_candidate = add_and_note
    return beam, model


def lora_model(modules, folder, dtype):
    _, module = modules
    ours = load(folder, torch.float32)
    c = ours.config
    model = module.GPT2LMModel(module.GPT2Config(c.vocab_size, c.n_positions, c.n_positions, c.n_embd, c.n_layer, c.n_head))
    model.load_weight({k.removeprefix("transformer."): t for k, t in ours.transformer.state_dict().items()})
    ids = token_ids(20, c.vocab_size, 1)[None]
    with torch.no_grad():
        assert (model(ids)[0] - ours(ids).logits).abs().max() < 1e-5
    return model.to(dtype)


def generate_lora(modules, model, prompts, settings):
    """gpt2_beam.beam over its own data set, a prompt at a time."""
    beam, _ = modules
    data = importlib.import_module("data_utils")
    outputs = []
    for prompt in prompts:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(None):
            args = types.SimpleNamespace(
                device="cpu", rank=0, work_dir=folder, output_file="out.jsonl", repetition_penalty=1.0, min_length=0, **settings
            )
            file = os.path.join(folder, "in.jsonl")
            with open(file, "w") as f:
                f.write(json.dumps({"context": prompt, "completion": [1]}) + "\n")
            seq_len = len(prompt) + 3 + args.eval_len  # some padding on the right
            beam.args = args
            beam.beam(model, torch.utils.data.DataLoader(data.FT_Dataset(file, 1, seq_len, args.eval_len), batch_size=1), args)
            with open(os.path.join(folder, "out.jsonl")) as f:
                ids = json.load(f)["predict"]
        outputs.append([(up_to_end(ids, args.eos_token_id), beam.best_score[0].item())])
    return outputs


def run_lora(checkout, folder, prompts):
    modules = lora_modules(checkout)
    model, double = (lora_model(modules, folder, dtype) for dtype in (torch.float32, torch.float64))
    others = [double]
    for seed in (1, 2):
        other = lora_model(modules, folder, torch.float32)
        with torch.no_grad():
            w = other.transformer.wte.weight
            w.mul_(1 + noise(w.shape, seed, 1e-6))
        others.append(other)
    out = []
    for settings in LORA:
        outputs = generate_lora(modules, model, prompts, settings)
        for other in others:
            assert same(outputs, generate_lora(modules, other, prompts, settings)), ("hangs on rounding", settings)
        assert same(outputs, [[lora_search(model, p, **settings)] for p in prompts]), settings
        out.append(case("lora", settings, outputs))
        print("lora", settings, "lengths", [len(o[0][0]) for o in outputs])
    return out


def write(name, prompts, cases, **more):
    lines = [json.dumps(c) for c in cases]
    head = {"script": "testdata/nn/" + SCRIPT, "torch": torch.__version__.split("+")[0], "transformers": transformers.__version__} | more
    with open(os.path.join(HERE, f"{name}.json"), "w") as f:
        f.write(json.dumps(head)[:-1] + ',\n"prompts": ' + json.dumps(prompts) + ',\n"cases": [\n' + ",\n".join(lines) + "\n]}\n")
    print(name, os.path.getsize(os.path.join(HERE, f"{name}.json")), "bytes")


def main():
    setup()
    names = sys.argv[1:]
    sys.argv = sys.argv[:1]
    if names[0] in TODAYS:
        prompts = [token_ids(n, 40, 600 + i).tolist() for i, n in enumerate((5, 9, 2))]
        for name in names:
            folder, ends = TODAYS[name]
            write(f"generate-{name}", prompts, run_transformers(folder, prompts, todays_cases(ends)))
        return
    checkout = names[0]
    write_model()
    prompts = [token_ids(n, 60, 500 + i).tolist() for i, n in enumerate((5, 12, 2, 8, 1))]
    prompts[3] = prompts[3][:5] + prompts[3][2:5]  # its n-grams can come again
    for name, (folder, one, two, three) in TRANSFORMERS.items():
        cases = run_transformers(folder, prompts, transformers_cases(one, two, three))
        if folder.startswith("gpt2"):
            cases += run_lora(checkout, folder, prompts)
        write(name, prompts, cases)


if __name__ == "__main__":
    main()
