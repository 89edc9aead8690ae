"""Guards the loss: a loss that is not finite, or far above its moving mean, is recorded with its samples.

    OUT/guard/step-00000123/   report.json  samples-*.tar  checkpoints/step-00000122/ (the run before that step)

`cosmos_train replay OUT/guard/step-00000123` recomputes the step. Costs a few additions per step; a record costs a
checkpoint, which training waits for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cosmos_train.errors import UserError
from cosmos_train.recipe import GuardSettings
from interlink.shards import ShardWriter
from interlink.storage import Storage

_SHARD_BYTES = 1_000_000_000


@dataclass
class Moments:
    """Moving mean and variance of the loss over about `window` steps, and the number of steps seen."""

    window: int
    mean: float = 0.0
    variance: float = 0.0
    count: float = 0.0

    def deviations(self, loss: float) -> float:
        """Number of deviations by which `loss` exceeds the mean; 0 until a whole window has been seen."""
        if self.count < self.window:
            return 0.0
        return (loss - self.mean) / max(math.sqrt(self.variance), 1e-3 * abs(self.mean), 1e-12)

    def add(self, loss: float) -> None:
        self.count += 1
        share = 1 / min(self.count, self.window)
        change = loss - self.mean
        self.mean += share * change
        self.variance = (1 - share) * (self.variance + share * change * change)


@dataclass(frozen=True)
class Verdict:
    """What to do with a step. reason: empty if the step is fine."""

    reason: str = ""
    skip: bool = False
    stop: bool = False


class Guard:
    """Judges each step before the optimiser step. Every rank sees the same loss, so all ranks agree."""

    def __init__(self, settings: GuardSettings, numbers: dict[str, float] | None = None) -> None:
        known = dict(numbers or {})
        self.settings = settings
        self.skipped = int(known.pop("skipped", 0))
        self.records = int(known.pop("records", 0))
        self.moments = Moments(settings.window, **known)

    def numbers(self) -> dict[str, float]:
        """Its state, for the checkpoint."""
        moments = {key: value for key, value in asdict(self.moments).items() if key != "window"}
        return {**moments, "skipped": self.skipped, "records": self.records}

    def judge(self, loss: float, norm: float, scaling: bool) -> Verdict:
        """Judges a step by its loss and gradient norm. scaling: fp16, where an overflowing norm is expected at
        times."""
        if not math.isfinite(loss) or (not math.isfinite(norm) and not scaling):
            self.skipped += 1
            what = "loss" if not math.isfinite(loss) else "gradient"
            return Verdict(f"the {what} is not finite", True, self.skipped > self.settings.max_skipped)
        self.skipped = 0
        far = self.moments.deviations(loss)
        if self.settings.spike and far > self.settings.spike:
            how = self.settings.on_spike
            reason = f"the loss {loss:.4g} is {far:.1f} deviations above its mean {self.moments.mean:.4g}"
            if how != "skip":
                self.moments.add(loss)
            return Verdict(reason, how == "skip", how == "stop")
        self.moments.add(loss)
        return Verdict()

    def record_allowed(self) -> bool:
        """Whether one more record may be written; counts it."""
        self.records += 1
        return self.records <= self.settings.max_records


def folder_of(out: Path, step: int) -> Path:
    return out / "guard" / f"step-{step:08d}"


def write_samples(folder: Path, rank: int, samples: Iterable[tuple[str, Mapping[str, bytes | memoryview]]]) -> int:
    """Writes samples (key, members) as in their shards to `samples-<rank>.tar`, each once; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    with ShardWriter(
        Storage(str(folder)), "", lambda n: f"samples-{rank:05d}{f'-{n}' if n else ''}.tar", _SHARD_BYTES
    ) as out:
        for key, members in samples:
            if key not in written:
                written.add(key)
                out.add(key.replace("/", "_"), [(name, bytes(data)) for name, data in members.items()])
    return len(written)


@dataclass(frozen=True)
class Report:
    """Numbers of a step, and the number of processes that computed it."""

    reason: str
    step: int
    loss: float
    gradient_norm: float
    world: int


def write_report(folder: Path, report: Report) -> None:
    """JSON has no NaN and no infinity: they are written as strings."""
    values = {
        key: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(report).items()
    }
    (folder / "report.json").write_text(json.dumps(values, indent=1) + "\n")


def read_report(folder: Path) -> Report:
    """Reads the report of a record. Raises UserError if `folder` is not one."""
    try:
        found = Report(**json.loads((folder / "report.json").read_text()))
        return replace(found, loss=float(found.loss), gradient_norm=float(found.gradient_norm))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{folder} is not a record of a step: {error}", "give a folder OUT/guard/step-… of the loss guard", 2
        ) from error
