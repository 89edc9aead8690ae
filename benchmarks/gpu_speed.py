"""Speed of training steps on a device: samples/s, memory, and the share of the rate that its products reach (MFU)."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import torch

from benchmarks.gpu_batches import batch_of, learner, load
from benchmarks.gpu_rows import Numbers, Row, Setup
from cosmos_train.recipe import Recipe
from cosmos_train.train.metrics import peak_flops

PLAIN = ("objective.distill_weight=0", "data.views.global_views=1", "data.views.local_views=0")
CLIP, COSMO, CUMO = "cosmos_vitb16_cc3m", "cosmo_2b", "cumo_stage3_mistral7b"
LAYERS = 8  # of Mistral-7B's 32: weights, gradients and AdamW's moments in fp32 take 16 bytes a parameter
GOALS = {"contrastive": 0.45, "cosmos": 0.40, "cosmo_2b": 0.40}  # MFU on an H200, of the measured rate
_KERNELS = 10
_rate: dict[str, float] = {}


def rows_a() -> list[Row]:
    clip, cosmos = ("a contrastive ViT-B/16", "contrastive", PLAIN), ("COSMOS ViT-B/16", "cosmos", ())
    found = [Row("rate of products in bf16", rate, 30)]
    found += [_row(f"{clip[0]}, batch {n}", CLIP, clip[2], n, clip[1]) for n in (256, 512, 1024)]
    found += [_row(f"{cosmos[0]}, batch {n}", CLIP, cosmos[2], n, cosmos[1]) for n in (64, 128, 256)]
    return [*found, _row(f"{clip[0]}, batch 512, compiled", CLIP, (*PLAIN, "parallel.compile=true"), 512, "", 120)]


def rows_b() -> list[Row]:
    found = [Row("rate of products in bf16, again", rate, 30)]
    found += [_row(f"CosMo-2B, batch {n}", COSMO, (), n, "cosmo_2b") for n in (32, 64, 96)]
    found.append(_row("CosMo-2B, 96 samples packed into rows of 1,024", COSMO, (), 96, "cosmo_2b", packed=1024))
    cut = f"model.language.config.num_hidden_layers={LAYERS}"
    return found + [_row(f"CuMo stage 3, {LAYERS} layers, batch {n}", CUMO, (cut,), n, "") for n in (1, 2, 4)]


def _row(
    title: str, name: str, sets: tuple[str, ...], batch: int, goal: str, limit: float = 60, packed: int = 0
) -> Row:
    return Row(title, partial(_measured, name, sets, batch, goal, packed), limit)


def rate(setup: Setup) -> Numbers:
    """Operations per second of a square product in the type of the steps, the best of three."""
    side, dtype = setup.pick((8192, torch.bfloat16), (256, torch.float32))
    one, other = (torch.randn(side, side, device=setup.device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(3):
        one @ other
        _wait(setup)
        began = time.perf_counter()
        for _ in range(10):
            one @ other
        _wait(setup)
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - began))
    _rate[setup.device] = best
    name = torch.cuda.get_device_name() if setup.device == "cuda" else "cpu"
    return {"tflops": best / 1e12, "device": name, "torch": torch.__version__}


def _measured(name: str, sets: tuple[str, ...], batch: int, goal: str, packed: int, setup: Setup) -> Numbers:
    if setup.tiny:
        name, batch, packed = _tiny(name), 4, 96 * (packed > 0)
        sets = tuple(one for one in sets if not one.startswith("model.language"))
    recipe = load(name, setup, *sets, f"train.precision={setup.pick('bf16', 'fp32')}", "parallel.mode=ddp")
    made = learner(recipe, setup.device)
    taken = batch_of(recipe, batch, packed).to(torch.device(setup.device))
    flops = made.family.flop_count(made.model, recipe)
    assert flops is not None
    useful, _ = made.family.work(taken, recipe)
    operations = sum(part.total for part in flops.of(useful).values())

    def step(number: int) -> None:
        made.set_rate(number)
        made.compute([taken], number)
        made.update(number, skip=False)

    began = time.perf_counter()
    step(0)
    _wait(setup)
    first = time.perf_counter() - began
    step(1)
    _wait(setup)
    steps, began = 0, time.perf_counter()
    seconds = setup.pick(4.0, 0.0)
    while not steps or time.perf_counter() - began < seconds:
        step(2 + steps)
        _wait(setup)
        steps += 1
    each = (time.perf_counter() - began) / steps
    found: Numbers = {"samples_per_second": batch / each, "step_ms": 1000 * each, "first_step_s": first}
    return found | _shares(operations / each, recipe, goal, setup, partial(step, 2))


def _tiny(name: str) -> str:
    return {CLIP: "tiny_cosmos", COSMO: "tiny_cosmo", CUMO: "tiny_cumo_stage3"}[name]


def _shares(reached: float, recipe: Recipe, goal: str, setup: Setup, step: Any) -> Numbers:
    """MFU of the measured and the published rate, memory; where a goal is missed, the kernels that take most time."""
    if setup.device not in _rate:
        rate(setup)
    mfu = reached / _rate[setup.device]
    found: Numbers = {"model_tflops": reached / 1e12, "mfu": mfu}
    if published := peak_flops(recipe.train, torch.device(setup.device)):
        found["mfu_of_published"] = reached / published
    if setup.device == "cuda":
        found["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    if goal:
        found["goal"] = GOALS[goal]
        if mfu < GOALS[goal]:
            found["kernels"] = kernels(step, setup)
    return found


def kernels(step: Any, setup: Setup) -> str:
    """The ten kernels that take most of a step, with their shares."""
    from torch.profiler import ProfilerActivity, profile

    on_gpu = setup.device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        step()
        _wait(setup)
    key = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events) or 1
    return "; ".join(f"{event.key[:60]} {getattr(event, key) / total:.0%}" for event in events[:_KERNELS])


def _wait(setup: Setup) -> None:
    if setup.device == "cuda":
        torch.cuda.synchronize()
