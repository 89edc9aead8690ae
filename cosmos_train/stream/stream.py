"""Global batches in a fixed order; each rank takes its slice. Resumes exactly on any number of ranks and workers.

The main process plans (samples and rows: some µs a sample), readers fetch and decode. A plan depends on the recipe, the
shards and a few integers, so the readers have no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import BatchBase
from cosmos_train.stream.collate import Placed, collate_packed
from cosmos_train.stream.forms import counted, group, lay_out, open_corpus, open_samples
from cosmos_train.stream.health import Note, Tripwire, Watchdog
from cosmos_train.stream.index import Lengths
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.mixture import Counts, Exposure, Mixture, Part
from cosmos_train.stream.plan import Planner, Request, StreamState, pack_window
from cosmos_train.stream.records import map_leaves
from cosmos_train.stream.settings import DataSettings, rows_of
from cosmos_train.stream.tar import Members
from cosmos_train.stream.tokenizer import Tokenizer

__all__ = ["Data", "Stream", "StreamState", "open_data", "open_stream"]

_SEED_STEP = 1_000_003  # distance between the seeds of sources
_MEASURED = 1024  # number of units to estimate a source's mean length
_SMALL = 2**20  # bytes; smaller tensors go from reader to loop inside the message


class Data:
    """The shards of a recipe's sources. Raises UserError if they are missing or damaged."""

    def __init__(self, settings: DataSettings) -> None:
        self.settings = settings
        self.sources = settings.named()
        self.corpora = [
            open_corpus(one, setting) for (_, one), setting in zip(self.sources, settings.places(), strict=True)
        ]

    @property
    def documents(self) -> int:
        return sum(corpus.size for corpus in self.corpora)

    @property
    def samples(self) -> int:
        """Number of samples in an epoch of all sources."""
        return sum(corpus.units for corpus in self.corpora)

    @property
    def signature(self) -> str:
        """A digest that gives a StreamState its meaning: the shards, and how samples are cut and packed from them."""
        pack = self.settings.pack if self.settings.pack.tokens else None
        parts = []
        for (name, one), corpus in zip(self.sources, self.corpora, strict=True):
            sizes = f" {one.max_tokens} {one.frames_per_clip}" if pack else ""  # by which rows are packed
            parts.append(f"{name} {corpus.signature()}{sizes}")
        return " ".join([*parts, f"{pack}"]) if len(parts) > 1 or pack else self.corpora[0].signature()

    def texts(self) -> Iterator[str]:
        """Every text of every source, to train a tokenizer on."""
        for corpus in self.corpora:
            yield from corpus.texts()


def open_data(settings: DataSettings) -> Data:
    """Opens the shards of a recipe: reads (or scans) their indexes, nothing else."""
    return Data(settings)


def open_stream(
    recipe: Recipe,
    tokenizer: Tokenizer,
    data: Data | None = None,
    rank: int = 0,
    world_size: int = 1,
    state: StreamState | None = None,
) -> Stream:
    """This rank's batches of a recipe, starting at `state`.

    Raises UserError if ranks cannot share a batch evenly, or lengths are needed and missing.
    """
    size, passes = recipe.train.passes(world_size)
    return Stream(data or open_data(recipe.data), recipe.seed, tokenizer, size, rank, world_size, state, passes)


class Batches(Dataset[BatchBase]):
    """The work of a reader: a request to its batch, of the class for `data.form`."""

    def __init__(self, names: Sequence[str], samples: Sequence[Samples], tokenizer: Tokenizer, note: Note) -> None:
        self.names, self.samples, self.tokenizer, self.note = names, samples, tokenizer, note

    def __getitem__(self, request: Request) -> BatchBase:
        samples = self.samples[request.source]
        name = self.names[request.source] if len(self.names) > 1 else ""
        slots = [(row, slot) for row, slots in enumerate(request.rows) for slot in slots]
        packed = samples.data.pack.tokens
        images = [slot.images for _, slot in slots] if packed else None
        items = samples.many([slot.number for _, slot in slots], images, self.note.of(request.source))
        self.note.done()
        if not packed:
            return lay_out(items, samples.data, self.tokenizer, name)
        placed = [Placed(row, slot.start, slot.tokens, item) for (row, slot), item in zip(slots, items, strict=True)]
        return collate_packed(placed, len(request.rows), self.tokenizer, packed, name, samples.data.learn_lead)


class Stream:
    """Batches without end. `state`: the position after the last batch; save it to resume from there."""

    def __init__(
        self,
        data: Data,
        seed: int,
        tokenizer: Tokenizer,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        state: StreamState | None = None,
        accumulation: int = 1,
    ) -> None:
        settings = data.settings
        self.data = data
        self.types = len(data.sources)
        self.state = state or StreamState.start(self.types)
        names = [name for name, _ in data.sources]
        samples = [
            open_samples(corpus, one, seed + _SEED_STEP * number)
            for number, (corpus, (_, one)) in enumerate(zip(data.corpora, data.sources, strict=True))
        ]
        rows = rows_of(settings, batch_size, world_size)
        lengths = [corpus.lengths(tokenizer) if counted(settings) else None for corpus in data.corpora]
        for one, known, count in zip(samples, lengths, rows, strict=True):
            group(one, known, count, accumulation)
        parts = [
            Part(name, weight, one.corpus.units, _per_batch(one, known, count))
            for name, (weight, _), one, known, count in zip(
                names, settings.shares(), samples, lengths, rows, strict=True
            )
        ]
        self.mixture = Mixture.plan(parts, settings.mixture, settings.weigh_by, settings.epoch)
        self._exposure = Exposure(
            self.mixture, settings.weigh_by, [Counts(samples=count) for count in self.state.samples]
        )
        self._tripwire = Tripwire(settings.max_bad_share, data.samples)
        self._workers = settings.workers
        self._watchdog = Watchdog(
            settings.workers, [corpus.reader.shards for corpus in data.corpora], settings.stall_seconds
        )
        self._planner = Planner(samples, lengths, self.mixture, rows, rank, world_size, self.state)
        self._batches: Iterator[BatchBase | _Sent] = iter(
            DataLoader(
                Batches(names, samples, tokenizer, Note(self._watchdog.table)),
                sampler=self._planner,
                batch_size=None,
                num_workers=settings.workers,
                collate_fn=_Sent.pack if settings.workers else _unchanged,
                generator=torch.Generator(),  # the default would draw from torch's global random state
                timeout=settings.stall_seconds if settings.workers else 0,
                multiprocessing_context="spawn" if settings.workers else None,
            )
        )

    def next(self) -> Any:
        """This rank's rows of the next global batch: a Batch, or the BatchBase of another `data.form`.

        Raises UserError for too many bad samples and stuck readers.
        """
        batch = self._next()
        request = self._planner.planned.popleft()
        self.state = request.after
        self._tripwire.count(batch)
        counts = self._exposure.counts[request.source]
        counts.samples = self.state.samples[request.source]
        counts.tokens += batch.num_tokens
        counts.images += batch.num_images
        return batch

    @property
    def epoch(self) -> float:
        """Number of epochs so far, as defined by `data.epoch`."""
        if self.types == 1:
            return self.state.samples[0] / self.data.samples
        return sum(self.state.batches) / self.mixture.epoch_batches

    @property
    def bad(self) -> dict[str, int]:
        """Bad samples of this rank since the stream was opened: "key: reason" -> count."""
        return dict(self._tripwire.bad)

    def documents_of(self, state: StreamState, batches: int) -> Iterator[tuple[str, Members]]:
        """(key, members) of every readable document in this rank's next `batches` after `state`."""
        for _ in range(batches):
            request = self._planner.plan(state)
            samples, state = self._planner.samples[request.source], request.after
            positions = [slot.number for slots in request.rows for slot in slots]
            documents = sorted({samples.place(position).document for position in positions})
            for document, members in zip(documents, samples.corpus.reader.read_many(documents), strict=True):
                if not isinstance(members, Exception):
                    yield samples.corpus.key(document), members

    def exposure(self) -> list[dict[str, float | str]]:
        """Planned against realised, per source."""
        return self._exposure.rows()

    def _next(self) -> BatchBase:
        if not self._workers:
            with self._watchdog.watching():
                return _received(next(self._batches))
        try:
            return _received(next(self._batches))
        except RuntimeError as error:
            if "timed out" in str(error):
                raise self._watchdog.stuck() from error
            if "exited unexpectedly" in str(error):
                raise UserError(
                    f"a reader died: {error}",
                    "usually the machine ran out of memory: lower data.workers or data.cache_megabytes",
                ) from error
            raise


def _per_batch(samples: Samples, lengths: Lengths | None, rows: int) -> dict[str, float]:
    """Mean samples, tokens and images of a global batch, from units distributed over the first epoch."""
    if lengths is None:
        return {"samples": rows, "tokens": 0.0, "images": 0.0}
    units = len(samples)
    count = min(units, _MEASURED)
    sizes = [samples.size(number * units // count, lengths) for number in range(count)]
    per_row = 1.0
    if samples.data.pack.tokens:
        per_row = samples.data.pack.window / len(pack_window(samples, lengths, 0))
    given = rows * per_row
    tokens, images = (sum(size[kind] for size in sizes) / count for kind in (0, 1))
    return {"samples": given, "tokens": given * tokens, "images": given * images}


def _unchanged(batch: Any) -> Any:
    return batch


def _received(found: BatchBase | _Sent) -> BatchBase:
    return found.unpack() if isinstance(found, _Sent) else found


@dataclass(frozen=True)
class _Sent:
    """A batch on its way from a reader, with its small tensors as arrays.

    Tensors travel through shared memory, each at the cost of a file descriptor (0.3 ms for the process that waits for
    the batch): small ones go with the message.
    """

    batch: BatchBase

    @classmethod
    def pack(cls, batch: Any) -> _Sent:
        return cls(map_leaves(batch, Tensor, lambda tensor: tensor.numpy() if tensor.nbytes <= _SMALL else tensor))

    def unpack(self) -> BatchBase:
        return map_leaves(self.batch, np.ndarray, torch.from_numpy)
