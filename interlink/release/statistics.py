"""Statistics of the documents of a release, gathered in one pass. Memory: counts, and one number per video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interlink.release.settings import TextKind
from interlink.release.source import Sample, clip_text
from interlink.shards.document import Text, count_tokens

# Kind of source -> the name of one of its items; all other kinds have videos.
THINGS = {"pairs": "picture", "pages": "web page"}


@dataclass
class Distribution:
    """How often each value occurs; values are rounded to `step`."""

    step: float = 1.0
    counts: Counter[int] = field(default_factory=Counter)  # value / step -> count

    def add(self, value: float) -> None:
        self.counts[round(value / self.step)] += 1

    @property
    def count(self) -> int:
        return self.counts.total()

    @property
    def mean(self) -> float:
        return sum(value * count for value, count in self.counts.items()) * self.step / max(1, self.count)

    def quantile(self, share: float) -> float:
        """The smallest value that at least this share of all values do not exceed; 0 without values."""
        wanted = share * self.count
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen >= wanted:
                return value * self.step
        return 0.0

    def bins(self, most: int) -> list[tuple[float, float, int]]:
        """(from, to, count) of at most `most` bins with a round width; the last value lies in the last bin."""
        if not self.counts:
            return []
        low, high = min(self.counts), max(self.counts)
        width = next(
            w * 10**e for e in range(18) for w in (1, 2, 5) if (high // (w * 10**e)) - low // (w * 10**e) < most
        )
        found = Counter(dict.fromkeys(range(low // width, high // width + 1), 0))
        for value, count in self.counts.items():
            found[value // width] += count
        return [(v * width * self.step, (v + 1) * width * self.step, n) for v, n in sorted(found.items())]


@dataclass
class Statistics:
    """Sums and distributions over the documents of a release."""

    kinds: Sequence[TextKind]
    thing: str = "video"  # the source of a document, see `THINGS`
    documents: Counter[str] = field(default_factory=Counter)  # split -> count
    videos: set[int] = field(default_factory=set)  # hashes of the ids
    images: int = 0
    text_tokens: int = 0
    clips_per_document: Distribution = field(default_factory=Distribution)
    tokens_per_clip: Distribution = field(default_factory=Distribution)  # of the clip's one text
    clip_seconds: Distribution = field(default_factory=lambda: Distribution(0.1))
    images_per_document: Distribution = field(default_factory=Distribution)
    roles: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    datasets: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, id@revision)
    prompts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (stage, hash)
    optional: Counter[str] = field(default_factory=Counter)  # fields (`about.FIELDS`) that only some builds have

    def add(self, sample: Sample) -> None:
        document = sample.document
        self.documents[sample.split] += 1
        self.videos.add(_number(document.source.video_id))
        self.images += len(sample.pictures)
        self.images_per_document.add(len(sample.pictures))
        self.text_tokens += document.text_tokens()
        self.clips_per_document.add(len(document.clips))
        for clip in document.clips:
            self.clip_seconds.add(clip.end - clip.start)
            if text := clip_text(clip, self.kinds):
                self.tokens_per_clip.add(count_tokens(text))
        self.roles.update(segment.role for segment in document.segments if isinstance(segment, Text))
        self.licences[document.source.licence or "not stated"] += 1
        self.datasets[document.source.dataset or "not stated"] += 1
        self.models.update(document.provenance.models.items())
        self.prompts.update(document.provenance.prompts.items())
        self.optional["clip_files"] += len(sample.files)
        self.optional["regions"] += sum(len(clip.regions or ()) for clip in document.clips)

    @property
    def total(self) -> int:
        return self.documents.total()


def _number(text: str) -> int:
    import hashlib

    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def by_frequency(mapping: Mapping[str, int]) -> dict[str, int]:
    """A counter as a sorted dict: the most frequent first, then by name."""
    return dict(sorted(mapping.items(), key=lambda pair: (-pair[1], pair[0])))
