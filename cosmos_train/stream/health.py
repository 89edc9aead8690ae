"""Monitors of a stream: the share of bad samples, and reads that hang."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from cosmos_train.errors import UserError
from cosmos_train.stream.batch import BatchBase

_ENOUGH_TO_JUDGE = 200  # number of samples before the share of bad ones can stop a run

log = logging.getLogger(__name__)


@dataclass
class Tripwire:
    """Counts bad samples of this rank since the stream was opened, and stops the run if there are too many.

    most: the largest accepted share; epoch: samples per epoch (a small set is judged after one pass).
    """

    most: float
    epoch: int
    given: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    def count(self, batch: BatchBase) -> None:
        """Counts a batch. Raises UserError, with an example, if there are too many bad samples."""
        self.given += len(batch) + len(batch.bad_samples)
        self.bad.update(f"{bad.key}: {bad.reason}" for bad in batch.bad_samples)
        share = self.bad.total() / max(1, self.given)
        if self.given >= min(_ENOUGH_TO_JUDGE, self.epoch) and share > self.most:
            raise UserError(
                f"{share:.0%} of the samples cannot be used, for example {self.bad.most_common(1)[0][0]}",
                "fix or remove these samples (interlink verify finds them), or raise data.max_bad_share",
            )


class Watchdog:
    """Tracks the current read of every reader. `table`: (readers, 3) in shared memory: source + 1, shard, since
    (ms)."""

    def __init__(self, readers: int, shards: Sequence[Sequence[str]], seconds: float) -> None:
        self.table = torch.zeros(max(1, readers), 3, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self.seconds = seconds
        self._shards = [list(names) for names in shards]

    def reading(self) -> list[str]:
        """The current reads and their durations, the longest first."""
        now = time.monotonic_ns() // 1_000_000
        busy = sorted(
            (-(now - since), reader, source - 1, shard)
            for reader, (source, shard, since) in enumerate(self.table.tolist())
            if source
        )
        return [
            f"reader {reader} has been reading {self._shards[source][shard]} for {-age / 1000:.0f} s"
            for age, reader, source, shard in busy
        ]

    def stuck(self) -> UserError:
        """The error for a batch that did not arrive in time."""
        what = "; ".join(self.reading()) or "no reader is reading: they decode, or have not started"
        return UserError(
            f"no batch for {self.seconds:.0f} s: {what}",
            "check the storage of that shard, or raise data.stall_seconds",
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For reads in this process, which cannot be interrupted: logs a warning if one takes too long."""
        timer = threading.Timer(self.seconds, lambda: log.error("%s", self.stuck().what))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@dataclass(frozen=True)
class Note:
    """Writes into a watchdog's table, from the process that reads."""

    table: torch.Tensor

    def of(self, source: int) -> Callable[[int], None]:
        """Call it with the shard before each read of that source, and `done` afterwards."""
        row = self.table.numpy()[_reader()]  # shares memory; writing through torch is ten times as slow

        def reading(shard: int) -> None:
            row[2], row[1], row[0] = time.monotonic_ns() // 1_000_000, shard, source + 1

        return reading

    def done(self) -> None:
        self.table[_reader(), 0] = 0


def _reader() -> int:
    worker = torch.utils.data.get_worker_info()
    return worker.id if worker is not None else 0
