"""The measurements of `benchmarks/gpu.py`."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

# Largest relative errors against fp32 on the CPU: (loss, norm of the difference of the gradients).
BOUNDS = {"fp32": (1e-4, 1e-3), "bf16": (3e-2, 0.15), "fp16": (1e-2, 0.05)}
TWINS = {"cosmo": "tiny_cosmo", "cosmos": "tiny_cosmos", "cumo": "tiny_cumo_stage3"}
GOALS = {"plain CLIP": 0.45, "COSMOS": 0.40}  # MFU of the measured matrix rate, on an H200
_SEEN = 3  # steps before the clock starts

Found = dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """run: returns numbers, and `right` where there is a bound. seconds: its limit."""

    name: str
    seconds: float
    run: Callable[[], Found]


@dataclass
class Bench:
    """Device, sizes and materials. rate: operations per second of a product of bf16 matrices, once it is measured."""

    kind: str
    tiny: bool
    folder: Path
    rate: float = 0.0
    references: dict[str, tuple[float, dict[str, torch.Tensor]]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return torch.device(self.kind, 0) if self.kind == "cuda" else torch.device(self.kind)

    @property
    def name(self) -> str:
        return torch.cuda.get_device_name(0) if self.kind == "cuda" else "cpu"

    def learn(self, line: Found) -> None:
        self.rate = float(line.get("tflops", 0.0)) * 1e12 or self.rate

    def wait(self) -> None:
        if self.kind == "cuda":
            torch.cuda.synchronize()

    def clear(self) -> None:
        gc.collect()
        if self.kind == "cuda":
            torch.cuda.empty_cache()

    def shards(self) -> str:
        """Documents of JPEG pictures with captions, made once."""
        from benchmarks.loop import documents

        there = self.folder / "shards"
        return str(there if there.is_dir() else documents(there))


def measurements(bench: Bench) -> Iterator[Measurement]:
    """All, in their order."""
    yield Measurement("matrix rate", 20, lambda: matrix_rate(bench))
    for family in TWINS:
        for precision in BOUNDS:
            name = f"{family}, {precision} against fp32 on the CPU"
            yield Measurement(name, 60, lambda f=family, p=precision: twin(bench, f, p))
        yield Measurement(f"{family}, recomputed", 60, lambda f=family: recomputed(bench, f))
        yield Measurement(f"{family}, checkpoint to the CPU and back", 60, lambda f=family: there_and_back(bench, f))
    for mode in ("ddp", "fsdp"):
        yield Measurement(f"cosmos, {mode} on one rank", 60, lambda m=mode: one_rank(bench, m))
    yield Measurement("experts, grouped against the loop", 30, lambda: experts(bench))
    for what in GOALS:
        for size in (2, 4, 8) if bench.tiny else (256, 512, 1024):
            yield Measurement(f"{what}, batch {size}", 40, lambda w=what, s=size: speed(bench, w, s, False))
        size = 4 if bench.tiny else 512
        yield Measurement(f"{what}, batch {size}, compiled", 120, lambda w=what, s=size: speed(bench, w, s, True))


def matrix_rate(bench: Bench) -> Found:
    """The best of some products of square bf16 matrices."""
    side = 256 if bench.tiny else 8192
    one, other = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(3 if bench.tiny else 20):
        begun = time.perf_counter()
        for _ in range(4):
            one @ other
        bench.wait()
        best = max(best, 4 * 2 * side**3 / (time.perf_counter() - begun))
    return {"tflops": best / 1e12}


def trainer_of(bench: Bench, family: str, device: str, out: str, resume: bool = False, **settings: Any) -> Any:
    """A trainer of a tiny twin. settings: of the recipe, with `__` for the dot."""
    from cosmos_train.recipe import load
    from cosmos_train.train.trainer import Trainer

    given = {
        "data__shards": bench.shards(), "train__device": device, "train__precision": "fp32", "train__threads": 1,
        "train__batch_size": 8, "train__steps": 4, "train__save_every": 2, "train__start_from": "",
        "optimiser__clip_norm": 0, "probe__every": 0, **settings,
    }  # fmt: skip
    sets = [f"{key.replace('__', '.')}={value}" for key, value in given.items()]
    recipe = load(TWINS[family], sets)
    return Trainer(recipe, bench.folder / out, resume, Console(quiet=True))


def first_step(trainer: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """(loss, gradients) of the first batch, on the CPU."""
    losses, _ = trainer.learner.compute([trainer.stream.next()], 0)
    gradients = {n: p.grad.detach().float().cpu() for n, p in trainer.model.named_parameters() if p.grad is not None}
    return losses["loss"], gradients


def reference(bench: Bench, family: str) -> tuple[float, dict[str, torch.Tensor]]:
    if family not in bench.references:
        bench.references[family] = first_step(trainer_of(bench, family, "cpu", f"reference-{family}"))
    return bench.references[family]


def difference(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all gradients over the norm of the wanted ones."""
    apart = sum(float((found[name] - one).square().sum()) for name, one in wanted.items())
    return float((apart / sum(float(one.square().sum()) for one in wanted.values())) ** 0.5)


def twin(bench: Bench, family: str, precision: str) -> Found:
    loss, gradients = first_step(trainer_of(bench, family, bench.kind, f"twin-{family}", train__precision=precision))
    wanted, exact = reference(bench, family)
    apart, most = (abs(loss - wanted) / abs(wanted), difference(gradients, exact)), BOUNDS[precision]
    return {"loss_error": apart[0], "gradient_error": apart[1], "right": apart[0] <= most[0] and apart[1] <= most[1]}


def recomputed(bench: Bench, family: str) -> Found:
    plain = first_step(trainer_of(bench, family, bench.kind, f"plain-{family}"))
    again = first_step(trainer_of(bench, family, bench.kind, f"again-{family}", parallel__recompute_every=1))
    apart = difference(again[1], plain[1])
    return {"gradient_error": apart, "right": apart <= 1e-5}


def there_and_back(bench: Bench, family: str) -> Found:
    """Two steps on the device, one on the CPU, one on the device, each from the last one's checkpoint; against four."""
    losses: dict[int, float] = {}
    for steps, device in ((2, bench.kind), (3, "cpu"), (4, bench.kind)):
        more = {"train__steps": steps, "train__save_every": 1}
        trainer = trainer_of(bench, family, device, f"moved-{family}", steps > 2, **more)
        trainer.run(lambda step, _, loss: losses.update({step: loss}))
    straight: dict[int, float] = {}
    trainer_of(bench, family, bench.kind, f"straight-{family}").run(lambda step, _, loss: straight.update({step: loss}))
    apart = max(abs(losses[step] - loss) / abs(loss) for step, loss in straight.items())
    return {"loss_error": apart, "right": losses.keys() == straight.keys() and apart <= 5e-3}


def one_rank(bench: Bench, mode: str) -> Found:
    """DDP or FSDP2 around the model with a group of one process, against the bare model."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from cosmos_train.train.parallel import blocks_of

    wanted = first_step(trainer_of(bench, "cosmos", bench.kind, "bare"))
    trainer = trainer_of(bench, "cosmos", bench.kind, mode)
    backend = "nccl" if bench.kind == "cuda" else "gloo"
    store = dist.HashStore()
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        learner = trainer.learner
        if mode == "ddp":
            learner.parallelized = torch.nn.parallel.DistributedDataParallel(
                learner.parallelized, find_unused_parameters=True
            )
        else:
            mesh = init_device_mesh(bench.kind, (1,))
            for block in dict.fromkeys(blocks_of(trainer.model)):
                fully_shard(block, mesh=mesh)
            fully_shard(learner.parallelized, mesh=mesh)
        context = learner._context
        losses = trainer.family.step(
            learner.parallelized, [trainer.stream.next().to(bench.device)], trainer.recipe,
            type(context)(context.autocast, context.backward, lambda last: context.autocast()),
        )  # fmt: skip
        from cosmos_train.models.sharded import full_tensor

        found = {
            n: full_tensor(p.grad).float().cpu() for n, p in trainer.model.named_parameters() if p.grad is not None
        }
    finally:
        dist.destroy_process_group()
    apart = difference(found, wanted[1])
    return {"loss_error": abs(float(losses["loss"]) - wanted[0]) / abs(wanted[0]), "gradient_error": apart,
            "right": apart <= 1e-4}  # fmt: skip


def experts(bench: Bench) -> Found:
    """Experts in bf16 as one product, against one product for each, and their times."""
    from cosmos_train.models.moe import grouped

    count, width, rows = (4, 64, 256) if bench.tiny else (8, 4096, 16384)
    tokens = torch.randn(rows, width, device=bench.device, dtype=torch.bfloat16)
    matrices = torch.randn(count, width, width, device=bench.device, dtype=torch.bfloat16) / width**0.5
    ends = torch.linspace(rows // count, rows, count, device=bench.device).int()
    starts = [0, *ends.tolist()[:-1]]

    def loop() -> torch.Tensor:
        parts = zip(starts, ends.tolist(), matrices, strict=True)
        return torch.cat([tokens[first:last] @ matrix.T for first, last, matrix in parts])

    def timed(run: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
        run()
        bench.wait()
        begun = time.perf_counter()
        found = run()
        bench.wait()
        return found, time.perf_counter() - begun

    (one, fast), (other, slow) = timed(lambda: grouped(tokens, matrices, None, ends)), timed(loop)
    apart = float((one.float() - other.float()).norm() / other.float().norm())
    return {"error": apart, "grouped_ms": 1000 * fast, "loop_ms": 1000 * slow, "right": apart <= 1e-2}


def speed(bench: Bench, what: str, size: int, compiled: bool) -> Found:
    """Samples per second of whole steps on one batch of random pictures and texts."""
    from cosmos_train.families.registry import family_of
    from cosmos_train.models.pretrained import PlannedVocabulary
    from cosmos_train.recipe import load
    from cosmos_train.train.learner import Learner
    from cosmos_train.train.parallel import World

    sets = [
        f"train.device={bench.kind}", f"train.batch_size={size}", "train.precision=bf16", "data.shards=none",
        f"parallel.compile={str(compiled).lower()}",
    ]  # fmt: skip
    if what == "plain CLIP":
        sets += ["objective.distill_weight=0", "data.views.global_views=1", "data.views.local_views=0"]
    recipe = load("tiny_cosmos" if bench.tiny else "cosmos_vitb16_cc3m", sets)
    family = family_of(recipe)
    vocabulary = PlannedVocabulary(1024 if bench.tiny else 49408, end=3)
    torch.manual_seed(0)
    model = family.build(recipe, vocabulary, weights=False).to(bench.device)
    learner = Learner(recipe, family, model, World(0, 1, 1, bench.device))
    batch = random_views(recipe, vocabulary, size)
    if bench.kind == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def step(number: int) -> None:
        learner.compute([batch], number)
        learner.set_rate(number)
        learner.update(number, False)

    begun = time.perf_counter()
    torch.compiler.set_stance("force_eager" if bench.tiny else "default")  # compiling takes a CPU minutes
    step(0)
    bench.wait()
    first = time.perf_counter() - begun
    for number in range(1, _SEEN):
        step(number)
    bench.wait()
    begun, steps = time.perf_counter(), 0
    while steps < 2 or (time.perf_counter() - begun < (0.1 if bench.tiny else 6.0)):
        step(_SEEN + steps)
        bench.wait()
        steps += 1
    seconds = (time.perf_counter() - begun) / steps
    useful, _ = family.work(batch, recipe)
    operations = sum(one.forward + one.backward for one in family.flop_count(model, recipe).of(useful).values())
    found: Found = {"samples_per_s": size / seconds, "step_ms": 1000 * seconds, "first_step_s": first}
    if bench.rate:
        found["mfu"] = operations / seconds / bench.rate
        found["goal"] = GOALS[what]
    if bench.kind == "cuda":
        found["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        if found.get("mfu", 1.0) < GOALS[what]:
            found["kernels"] = slowest(step)
    return found


def slowest(step: Callable[[int], None], most: int = 10) -> list[str]:
    """The kernels that take most of a step: name and share."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        step(1000)
    events = sorted(seen.key_averages(), key=lambda one: -one.self_device_time_total)
    total = sum(one.self_device_time_total for one in events) or 1.0
    return [f"{one.key[:60]} {one.self_device_time_total / total:.0%}" for one in events[:most]]


def random_views(recipe: Any, vocabulary: Any, size: int) -> Any:
    from cosmos_train.stream.views.batch import ViewBatch

    views, length, draw = recipe.data.views, recipe.data.max_tokens, torch.Generator().manual_seed(0)

    def pixels(count: int, side: int) -> torch.Tensor:
        return torch.randint(0, 256, (count, size, 3, side, side), generator=draw, dtype=torch.uint8)

    count = views.global_views + views.local_views
    texts = torch.randint(5, vocabulary.size, (count, size, length), generator=draw)
    ends = torch.randint(length // 2, length, (count, size, 1), generator=draw)
    places = torch.arange(length)
    texts = texts.masked_fill(places == ends, vocabulary.end).masked_fill(places > ends, 0)
    return ViewBatch(
        images=pixels(views.global_views, recipe.data.image.size), crops=pixels(views.local_views, views.local_size),
        texts=texts, keys=tuple(map(str, range(size))), captions=((),) * size, bad_samples=(), source="data",
    )  # fmt: skip
