"""Metrics: a line on stdout with rate and time left, metrics.jsonl, TensorBoard, and Weights & Biases if requested.

Costs under 1 ms a step. Only rank 0 writes. `verdict` names the bottleneck of a run in one sentence.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cosmos_train.errors import UserError
from cosmos_train.families.base import Numbers
from cosmos_train.recipe import TrainSettings

_WAIT_SHARE = 0.05  # share of time spent waiting (data, saves, slower ranks) from which it counts as the bottleneck


@dataclass(frozen=True)
class Counts:
    """Counts over a step's global batches and all ranks. tokens: learned tokens."""

    bad: int = 0
    samples: int = 0
    tokens: int = 0
    frames: int = 0


@dataclass
class Window:
    """Sums since the last log line, over all ranks; seconds are this rank's, by activity."""

    started: float = field(default_factory=time.perf_counter)
    steps: int = 0
    skipped: int = 0
    samples: int = 0
    tokens: int = 0
    frames: int = 0
    useful: Any = None  # amount of work without padding: a dataclass of numbers that the family defines
    padded: Any = None
    gradient: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("data", "compute", "optimiser", "save", "probe"), 0.0)
    )

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - started

    def add(self, counts: Counts, losses: Numbers, norm: float, skipped: bool) -> None:
        """Adds one step."""
        self.steps += 1
        self.skipped += skipped
        self.samples, self.tokens, self.frames = (
            self.samples + counts.samples, self.tokens + counts.tokens, self.frames + counts.frames
        )  # fmt: skip
        self.gradient += norm
        for name, value in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + value

    def add_work(self, useful: Any, padded: Any) -> None:
        """Adds the work of one batch on this rank."""
        self.useful = useful if self.useful is None else _sum(self.useful, useful)
        self.padded = padded if self.padded is None else _sum(self.padded, padded)

    def shares(self) -> Numbers:
        """Shares of the time since the window began by activity; `other` is the rest."""
        whole = max(time.perf_counter() - self.started, 1e-9)
        found = {what: seconds / whole for what, seconds in self.seconds.items()}
        return {**found, "other": max(0.0, 1 - sum(found.values()))}


def _sum(one: Any, other: Any) -> Any:
    return type(one)(*(getattr(one, part.name) + getattr(other, part.name) for part in fields(one)))


# Dense products in half precision (bf16, fp16), operations per second, from the vendors' data sheets.
_PEAKS = {
    "B200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12,
    "L4": 121e12, "A10": 125e12, "V100": 125e12, "4090": 165e12,
}  # fmt: skip


def peak_flops(settings: TrainSettings, device: torch.device) -> float:
    """Peak operations per second of the device; 0 if unknown."""
    if settings.peak_tflops:
        return settings.peak_tflops * 1e12
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for model, peak in _PEAKS.items() if model in name), 0.0)


def verdict(shares: Numbers, slowest: Numbers, workers: int, mfu: float) -> str:
    """The bottleneck of the run, and what to do. shares: this rank's; slowest: the largest share of any rank."""
    data, save = slowest["data"], slowest["save"]
    if data > _WAIT_SHARE and data >= save:
        if shares["data"] < data / 2:
            return f"data-bound on some ranks: they wait {data:.0%} of the time; check whether their storage is slower"
        wanted = max(workers + 1, math.ceil(max(1, workers) / max(1 - data, 0.1)))
        return f"data-bound: {data:.0%} of the time is waiting for batches; try data.workers={wanted} (now {workers})"
    if save > _WAIT_SHARE:
        return f"save-bound: {save:.0%} of the time is waiting for checkpoints; save less often or to a faster disk"
    if shares["other"] > 2 * _WAIT_SHARE:
        return f"loop-bound: {shares['other']:.0%} of the time is between the steps (logging, evaluation)"
    use = f" at {mfu:.0%} of the device's peak, padding not counted" if mfu else ""
    return f"compute-bound{use}: data wait {data:.1%}"


def memory_gigabytes(device: torch.device) -> float:
    """Peak memory of this process: of the GPU, or on a CPU its resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


class Metrics:
    """Writes the metrics of one run in `out`. A run resumed at `step` drops lines logged beyond it."""

    def __init__(
        self, out: Path, step: int, settings: TrainSettings, name: str, console: Console, writes: bool = True
    ) -> None:
        self._console = console
        self._steps = settings.steps
        self._writes = writes
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or not writes,
        )
        self._task = self._progress.add_task("training", total=settings.steps, completed=step, numbers="")
        if not writes:
            return
        from torch.utils.tensorboard import SummaryWriter

        out.mkdir(parents=True, exist_ok=True)
        path = out / "metrics.jsonl"
        kept = drop_beyond(path, step)
        self._spent = {name: _total(kept, name) for name in ("samples", "seconds")}
        self._file = path.open("a")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)
        self._wandb = _wandb_run(settings.wandb, name, out) if settings.wandb else None

    def __enter__(self) -> Metrics:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._writes:
            self._file.close()
            self._board.close()
            if self._wandb is not None:
                self._wandb.finish(exit_code=int(kind is not None))

    def totals(self, samples: int, seconds: float) -> Numbers:
        """Adds those of a window; returns the sums since the run began, over all its resumes: the curves' other axes.

        Samples and seconds that a kill lost are not in them.
        """
        if not self._writes:
            return {}
        self._spent["samples"] += samples
        self._spent["seconds"] += seconds
        return dict(self._spent)

    def advance(self, step: int) -> None:
        self._progress.update(self._task, completed=step)

    def log(self, step: int, numbers: Numbers, losses: tuple[str, ...], sentence: str) -> None:
        """Writes `numbers` of the steps up to `step` and the bottleneck sentence, and prints the main ones.

        losses: names of the numbers that are the parts of `loss`.
        """
        if not self._writes:
            return
        self._write(step, numbers, bottleneck=sentence)
        self._board.add_text("bottleneck", sentence, step)
        if self._wandb is not None:
            self._wandb.log({**numbers, "bottleneck": sentence}, step=step)
        parts = ", ".join(f"{name} {numbers[name]:.3f}" for name in losses)
        shown = f"loss {numbers['loss']:.3f} ({parts})  {numbers['samples_per_second']:.0f} samples/s"
        self._progress.update(self._task, completed=step, numbers=shown)
        if not self._console.is_terminal:
            left = numbers["seconds_left"]
            self._console.print(
                f"step {step}/{self._steps}  {shown}  {_minutes(left)} left", soft_wrap=True, highlight=False
            )

    def add(self, step: int, numbers: Numbers) -> None:
        """Writes numbers that are not in every line, such as a probe's, and prints them if they are few."""
        if not self._writes:
            return
        self._write(step, numbers)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)
        shown = [name for name in numbers if not name.endswith(("_shuffled", "_chance", "_error"))]
        self.say(f"step {step}/{self._steps}  " + "  ".join(f"{name} {numbers[name]:.3f}" for name in shown))

    def _write(self, step: int, numbers: Numbers, **texts: str) -> None:
        written = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self._file.write(json.dumps({"step": step, **written, **texts}) + "\n")
        self._file.flush()
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)

    def say(self, text: str) -> None:
        if self._writes:
            self._progress.console.print(text, soft_wrap=True, highlight=False)


def _wandb_run(project: str, name: str, out: Path) -> Any:
    try:
        import wandb  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise UserError(
            "train.wandb is set, but wandb is not installed", "pip install wandb, or leave train.wandb empty"
        ) from error
    return wandb.init(project=project, name=name, dir=str(out), resume="allow")


def drop_beyond(path: Path, step: int) -> list[str]:
    """Drops the lines of a log by step that a run resumed at `step` repeats, and a half line. Returns those kept."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    kept = [line for line in text.splitlines() if _step(line) <= step]
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    return kept


def _total(lines: Sequence[str], name: str) -> float:
    """The last value of a sum; 0 in a log from before it was written."""
    values = (json.loads(line).get(name) for line in reversed(lines))
    return next((float(value) for value in values if value is not None), 0.0)


def _step(line: str) -> float:
    """The step of a line; a line cut short by a kill belongs to no saved step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
