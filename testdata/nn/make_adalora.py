"""AdaLoRA as PEFT 0.21.2 trains it, on bert-tiny: RankAllocator and the orthogonality term, step by step.

    pip install torch==2.11.0 transformers==5.23.0 peft==0.21.2   # after make_models.py
    python testdata/nn/make_adalora.py

AdaLoraModel with init_r 6 and target_r 3 on query and value of both layers (24 triplets, 12 in the end), lora_alpha 8,
tinit 4, tfinal 8, total_step 30, deltaT 3, beta1 0.85, beta2 0.8, orth_reg_weight 0.1, no dropout; the head is trained
with it. 30 steps of AdamW (lr 2e-2, weight decay 0.01), step n on batch n % 3, each followed by update_and_allocate(n),
n from 1. The last allocation is at step 22, which is not a multiple of deltaT. Layers stand in the order layer.0 query,
layer.0 value, layer.1 query, layer.1 value, triplets of a layer side by side. Numbers are float64 runs of float32
inputs; names ending in `.f32` are of a float32 run of the same.

adalora-inputs.safetensors
  b.N.*                  batches N = 0, 1, 2 (ids, lengths, segments, labels; padded)
  MODULE.lora_A.weight, MODULE.lora_B.weight   the initial factors, of AdaLoRA's size (0.02); E is zero, the head bert-tiny's
  schedule.CASE          budget_schedule of steps 1 … total: rows (budget, 1 if it would mask); CASE is
                         LAYERS-INIT_R-TARGET_R-TINIT-TFINAL-TOTAL-DELTAT
adalora-steps.safetensors
  loss, total_loss [30]  cross entropy, and with the weighted orthogonality term, before each step
  budget [30]            what update_and_allocate spends
  E [30, 24]             after each step's allocation
  allocated [n];  scores [n, 24];  kept [n, 24]   the steps that allocate, the score of each triplet, 1 where it stays
  base_logits, logits    of batch 0 before the first step (E = 0) and after the last
adalora-step-12.safetensors: what the allocation of step 12 sees and knows, by PARAMETER (names as above, and MODULE.lora_E)
  grad.PARAMETER         of the loss with the orthogonality term
  ipt.PARAMETER, unc.PARAMETER   the averages of importance and of its uncertainty
  weight.PARAMETER       after the step, masked
"""

import torch
from peft import AdaLoraConfig, get_peft_model
from peft.tuners.adalora import RankAllocator

from fixture import batch, inputs, noise, prefixed, save, setup
from make_models import load

INIT, STEPS, LAST, WATCHED = 6, 30, 22, 12  # LAST is the last step that allocates
CONFIG = {
    "init_r": INIT, "target_r": 3, "tinit": 4, "tfinal": STEPS - LAST, "total_step": STEPS, "deltaT": 3,
    "beta1": 0.85, "beta2": 0.8, "orth_reg_weight": 0.1, "lora_alpha": 8,
}
SCHEDULES = [  # layers, init_r, target_r, tinit, tfinal, total, deltaT
    (24, 8, 4, 10, 30, 100, 10), (24, 12, 8, 0, 0, 60, 7), (4, 6, 3, 4, 8, 30, 3), (12, 3, 1, 5, 17, 50, 1),
    (10, 26, 1, 0, 2, 12, 1),  # 250·0.6³ + 10 is 64 on paper and 63.99… here: the budget is truncated
    (48, 4, 4, 1, 1, 12, 2),
]


def adalora(dtype):
    """The model at its start, in PEFT's hands."""
    config = AdaLoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"], **CONFIG)
    model = get_peft_model(load("bert-tiny", torch.float32)[0], config)
    with torch.no_grad():
        for n, (name, p) in enumerate(lora(model).items()):
            assert (p == 0).all() == name.endswith("lora_E"), name
            if not name.endswith("lora_E"):
                p.copy_(noise(p.shape, 7000 + n, 0.02 * 3**0.5))  # uniform, with the deviation of PEFT's normal
    return model.to(dtype).eval()


def lora(model):
    """{our name: parameter} of the factors."""
    short = lambda name: name.removeprefix("base_model.model.").removesuffix(".default")
    ours = lambda name: name if name.endswith("lora_E") else name + ".weight"
    return {ours(short(name)): p for name, p in model.named_parameters() if p.requires_grad and "lora_" in name}


def rows(by_name):
    """The layers' triplets side by side, from a dict of one column per lora_E."""
    return torch.cat([torch.as_tensor(by_name[k]).reshape(-1) for k in sorted(by_name) if "lora_E" in k])


def triplet_scores(allocator):
    """The scores as mask_to_budget computes them, which does not return them."""
    score = {}
    for name in allocator.exp_avg_ipt:
        if "lora_E" in name:
            s = lambda part: allocator._element_score(name.replace("lora_E", part))
            pair = torch.cat([s("lora_A").mean(1, keepdim=True), s("lora_B").mean(0).view(-1, 1)], dim=1)
            score[name] = allocator._combine_ipt(s("lora_E"), pair)
    return rows(score)


def train(batches, dtype):
    model = adalora(dtype)
    tuner, allocator = model.base_model, model.base_model.rankallocator
    optim = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2, weight_decay=0.01)
    out = {key: [] for key in ("loss", "total_loss", "budget", "E", "allocated", "scores", "kept")}
    watched = {}
    with torch.no_grad():
        base_logits = model(**inputs(batches[0])).logits
    for step in range(1, STEPS + 1):
        b = batches[step % len(batches)]
        result = model(**inputs(b), labels=b["labels"])
        out["total_loss"].append(result.loss.detach())
        out["loss"].append(torch.nn.functional.cross_entropy(result.logits, b["labels"]).detach())
        optim.zero_grad()
        result.loss.backward()
        optim.step()
        budget, masks = allocator.budget_schedule(step)
        if step == LAST:  # update_and_allocate has no new averages then, and forgets the old ones
            scores = triplet_scores(allocator)
        tuner.update_and_allocate(step)
        if step < LAST and masks or step == LAST:
            out["allocated"].append(torch.tensor(step))
            out["scores"].append(scores if step == LAST else triplet_scores(allocator))
            out["kept"].append(rows(model.peft_config["default"].rank_pattern).long())
            assert out["kept"][-1].sum() == budget, "scores tie"
        out["budget"].append(torch.tensor(budget))
        factors = {k: p.detach().clone() for k, p in lora(model).items()}
        out["E"].append(rows(factors))
        if step == WATCHED:
            for average, values in (("ipt", allocator.exp_avg_ipt), ("unc", allocator.exp_avg_unc)):
                watched |= prefixed(average, dict(zip(factors, (values[k] for k in values))))
            watched |= prefixed("grad", {k: p.grad.clone() for k, p in lora(model).items()})
            watched |= prefixed("weight", factors)
    out = {k: torch.stack(v) for k, v in out.items()}
    with torch.no_grad():
        out |= {"base_logits": base_logits, "logits": model(**inputs(batches[0])).logits}
    return out, {k: t.reshape(-1) if k.endswith("lora_E") else t for k, t in watched.items()}


def schedule(layers, init_r, target_r, tinit, tfinal, total, delta):
    config = AdaLoraConfig(init_r=init_r, target_r=target_r, tinit=tinit, tfinal=tfinal, total_step=total, deltaT=delta)
    allocator = RankAllocator.__new__(RankAllocator)  # without a model of so many layers
    allocator.peft_config, allocator.init_bgt, allocator.target_bgt = config, init_r * layers, target_r * layers
    return torch.tensor([[int(x) for x in allocator.budget_schedule(step)] for step in range(1, total + 1)])


def main():
    setup()
    model = adalora(torch.float32)
    batches = [
        batch(lengths, pairs, model.config, labels, seed)
        for lengths, pairs, labels, seed in (
            ([12, 3, 20, 7], [1, 0, 1, 0], [0, 2, 1, 1], 8000),
            ([5, 16, 9, 9], [0, 1, 0, 0], [2, 0, 1, 2], 8100),
            ([24, 4, 11, 6], [1, 0, 0, 0], [1, 0, 0, 2], 8200),
        )
    ]
    given = {k: p.detach() for k, p in lora(model).items() if not k.endswith("lora_E")}
    for n, b in enumerate(batches):
        given |= prefixed(f"b.{n}", b)
    for case in SCHEDULES:
        given["schedule." + "-".join(map(str, case))] = schedule(*case)
    save("adalora-inputs.safetensors", given)

    steps, watched = train(batches, torch.float64)
    single, _ = train(batches, torch.float32)
    print("budgets", steps["budget"].tolist())
    for step, kept in zip(steps["allocated"].tolist(), steps["kept"]):
        print(f"step {step:2} ranks {kept.view(4, INIT).sum(1).tolist()}")
    for key in ("E", "scores", "loss", "total_loss", "logits"):
        print(f"float32 off by {(single[key] - steps[key]).abs().max() / steps[key].abs().max():.1e} in {key}")
    print("same masks in float32:", torch.equal(steps["kept"], single["kept"]))
    floating = {f"{k}.f32": t for k, t in single.items() if t.is_floating_point()}
    save("adalora-steps.safetensors", steps | floating)
    save(f"adalora-step-{WATCHED}.safetensors", watched)


if __name__ == "__main__":
    main()
