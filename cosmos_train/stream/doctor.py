"""`cosmos_train doctor SHARDS`: speed of one core in each step from storage to batch, bottleneck, workers needed.

Costs some seconds. It reads in training's order, so that caches are as cold as in training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psutil
import torch
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.stream.batch import BadSample, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.corpus import BadDocument
from cosmos_train.stream.loader import Place, Samples
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.shards import parsed
from cosmos_train.stream.stream import Data
from cosmos_train.stream.tokenizer import Tokenizer

T = TypeVar("T")

_BATCH = 32
_SPARE = 1.25  # not all workers are as fast as the measured one


@dataclass(frozen=True)
class Step:
    """One step: its seconds per sample (storage: wall clock, others: CPU), and those of the CPU."""

    name: str
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Diagnosis:
    """The measurements of one source. samples: measured; bad: how many of them; bytes, frames: per sample, as used.

    bad_example: one of the bad ones, with its reason. per_core: samples/s of one worker.
    workers: number needed for `wanted` samples/s; cores: of this machine.
    """

    source: str
    samples: int
    bad: int
    bytes: float
    frames: float
    steps: tuple[Step, ...]
    per_core: float
    wanted: float
    workers: int
    cores: int
    verdict: str
    bad_example: str = ""


def diagnose(data: DataSettings, tokenizer: Tokenizer | None, wanted: float, seconds: float) -> list[Diagnosis]:
    """One diagnosis per source; at most `seconds` each. tokenizer: None counts one byte as one token of a trained one.

    wanted: samples/s that a GPU consumes. Raises UserError if shards are missing or no sample can be read.
    """
    opened = Data(data)
    words = tokenizer or Tokenizer.train([], 400)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    try:
        return [
            _source(name, Samples(corpus, one.model_copy(update={"cache_megabytes": 0}), 0), words, wanted, seconds)
            for (name, one), corpus in zip(opened.sources, opened.corpora, strict=True)
        ]
    finally:
        torch.set_num_threads(threads)


class _Meter:
    """Wall clock and CPU seconds by step."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


def _source(name: str, samples: Samples, tokenizer: Tokenizer, wanted: float, seconds: float) -> Diagnosis:
    reader = samples.corpus.reader
    meter = _Meter()
    ends = time.perf_counter() + seconds
    done = size = frames = 0
    bad: list[str] = []
    while done < len(samples) and (done == 0 or time.perf_counter() < ends):
        places = [samples.place(position) for position in range(done, min(done + _BATCH, len(samples)))]
        raw = meter("storage", partial(reader.ranges, [place.document for place in places]))
        if done == 0:  # do not count one-time setup: libraries, tables, threads
            _through(_Meter(), samples, places, raw, tokenizer)
        done += len(places)
        size += sum(len(one) for one in raw if not isinstance(one, Exception))
        found, reasons = _through(meter, samples, places, raw, tokenizer)
        frames += found
        bad += reasons
    if len(bad) == done:
        raise UserError(f"none of {done} samples of {name} can be read: {bad[0]}", "check the shards: interlink verify")
    # For storage, waiting is part of the cost; elsewhere only this process's CPU time counts, not that of other
    # processes.
    steps = tuple(
        Step(step, (meter.wall if step == "storage" else meter.cpu)[step] / done, meter.cpu[step] / done)
        for step in meter.wall
    )
    total = sum(step.seconds for step in steps)
    workers = math.ceil(_SPARE * wanted * total)
    slowest = max(steps, key=lambda step: step.seconds)
    cores = len(psutil.Process().cpu_affinity() or []) or psutil.cpu_count() or 1
    return Diagnosis(
        name, done, len(bad), size / done, frames / done, steps, 1 / total, wanted, workers, cores,
        _verdict(slowest, total, workers, cores, wanted), bad[0] if bad else "",
    )  # fmt: skip


def _through(
    meter: _Meter, samples: Samples, places: Sequence[Place], raw: Sequence[bytes | Exception], tokenizer: Tokenizer
) -> tuple[int, list[str]]:
    """Bytes to a batch, step by step. Returns the number of frames, and the errors of bad samples."""
    items: list[Sample | BadSample] = []
    bad: list[str] = []
    for place, one in zip(places, raw, strict=True):
        members = meter("tar", partial(parsed, one))
        try:
            document = meter("document", partial(samples.corpus.document, place.document, members))
            decoded = meter("decode", partial(samples.decode, place, document))
            items.append(meter("augment", partial(samples.augment, place, decoded, document.page)))
        except BadDocument as error:
            bad.append(str(error))
    batch = meter("tokens, collate", partial(collate, items, tokenizer, samples.data.max_tokens))
    return batch.num_images, bad


def _verdict(slowest: Step, total: float, workers: int, cores: int, wanted: float) -> str:
    share = slowest.seconds / total
    if slowest.name == "storage" and slowest.cpu_seconds < 0.5 * slowest.seconds:
        why = "it waits for storage: move the shards to faster storage, or add workers, which wait in parallel"
    elif slowest.name == "decode":
        why = "smaller images in the shards (twice the size the model sees is enough) are faster to decode"
    else:
        why = "the CPU cores of this machine are the limit"
    enough = "" if workers <= cores else f", more than the {cores} cores here"
    return (
        f"bottleneck: {slowest.name} ({share:.0%} of the time): {why}. "
        f"A GPU of {wanted:g} samples/s needs data.workers={workers}{enough}"
    )


def show(found: Sequence[Diagnosis], console: Console) -> None:
    """Prints one table and one sentence per source."""
    from rich.table import Table

    for one in found:
        table = Table(f"{one.source}: per sample", "ms", "samples/s of one core", "share", box=None)
        for step in one.steps:
            rate = f"{1 / step.seconds:,.0f}" if step.seconds else "-"
            table.add_row(step.name, f"{1e3 * step.seconds:.3f}", rate, f"{step.seconds * one.per_core:.0%}")
        table.add_row("all", f"{1e3 / one.per_core:.3f}", f"{one.per_core:,.0f}", "100%")
        console.print(table)
        bad = f", {one.bad} of them bad (for example {one.bad_example})" if one.bad else ""
        console.print(
            f"{one.samples} samples{bad}, {one.bytes / 1e3:,.0f} kB and {one.frames:.1f} frames each",
            highlight=False,
            markup=False,
        )
        console.print(one.verdict, highlight=False, soft_wrap=True)
