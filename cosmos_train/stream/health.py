"""What watches over a stream: the share of bad samples, and reads that do not come back."""

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

_ENOUGH_TO_JUDGE = 200  # samples before their share of bad ones can stop a run

log = logging.getLogger(__name__)


@dataclass
class Tripwire:
    """Counts bad samples of this rank since the stream was opened, and stops the run when they are too many.

    most: the share that is borne; epoch: samples an epoch (a small set is judged after one pass).
    """

    most: float
    epoch: int
    given: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    def count(self, batch: BatchBase) -> None:
        """Raises UserError, with an example of what is wrong."""
        self.given += len(batch) + len(batch.bad_samples)
        self.bad.update(f"{bad.key}: {bad.reason}" for bad in batch.bad_samples)
        share = self.bad.total() / max(1, self.given)
        if self.given >= min(_ENOUGH_TO_JUDGE, self.epoch) and share > self.most:
            raise UserError(
                f"{share:.0%} of the samples cannot be used, for example {self.bad.most_common(1)[0][0]}",
                "mend or leave out these samples (interlink verify looks through shards), or raise data.max_bad_share",
            )


class Watchdog:
    """Knows what every reader is reading. `table`: (readers, 3) in shared memory: source + 1, shard, since (ms)."""

    def __init__(self, readers: int, shards: Sequence[Sequence[str]], seconds: float) -> None:
        self.table = torch.zeros(max(1, readers), 3, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self.seconds = seconds
        self._shards = [list(names) for names in shards]

    def reading(self) -> list[str]:
        """What each reader that is reading now reads, and for how long: the longest first."""
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
        """The error to stop with when no batch came in time."""
        what = "; ".join(self.reading()) or "no reader is reading: they decode, or have not started"
        return UserError(
            f"no batch for {self.seconds:.0f} s: {what}",
            "check the storage of that shard, or raise data.stall_seconds",
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While reading in this process, which cannot be interrupted: a line in the log when it takes too long."""
        timer = threading.Timer(self.seconds, lambda: log.error("%s", self.stuck().what))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@dataclass(frozen=True)
class Note:
    """Writes into a watchdog's table, from whichever process reads."""

    table: torch.Tensor

    def of(self, source: int) -> Callable[[int], None]:
        """To be called with the shard before each read of that source; `done` afterwards."""
        row = self.table.numpy()[_reader()]  # the same memory; writing through torch is ten times as slow

        def reading(shard: int) -> None:
            row[2], row[1], row[0] = time.monotonic_ns() // 1_000_000, shard, source + 1

        return reading

    def done(self) -> None:
        self.table[_reader(), 0] = 0


def _reader() -> int:
    worker = torch.utils.data.get_worker_info()
    return worker.id if worker is not None else 0
