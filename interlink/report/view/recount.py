"""What other thresholds would leave: `interlink.interleave.filters.judge` over all clips at once, and what follows.

Costs about 2 ms per threshold and million clips. Equal to the next build's counts, except for what `approximate` names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interlink.interleave.settings import InterleaveSettings

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """A threshold. reason: of clips that it leaves out; field: of `interleave.filter`; column: the score.

    is_least: clips below it go; else those above. zero: a value that means no limit. missing: the value of clips
    without one; None: they go.
    """

    reason: str
    field: str
    column: str
    is_least: bool
    zero: bool = False
    missing: float | None = None


# In the order in which `judge` asks; the first rule that a clip breaks is its reason.
RULES = (
    Rule("short", "shortest", "seconds", True, zero=True),
    Rule("long", "longest", "seconds", False, zero=True),
    Rule("blurred", "sharpness", "sharpness", True),
    Rule("dark", "darkest", "light", True),
    Rule("bright", "brightest", "light", False),
    Rule("still", "motion", "motion", True),
    Rule("talking_head", "talking", "talking", False, missing=0.0),
    Rule("printed", "printed", "print", False, missing=0.0),
    Rule("few_tokens", "tokens", "tokens", True, zero=True),
    Rule("low_similarity", "similarity", "similarity", True),
    Rule("low_agreement", "agreement", "agreement", True),
    Rule("unsafe", "safety", "safety", False),
)


@dataclass(frozen=True)
class Recount:
    """clips, documents and videos that would stay; losses: clips that go, by their first broken rule.

    stopped: clips of videos that never reached interleave.
    """

    clips: int
    documents: int
    videos: int
    stopped: int
    losses: Mapping[str, int]


def values_of(clips: Columns, column: str) -> np.ndarray:
    """A score of all clips."""
    return clips["end"] - clips["start"] if column == "seconds" else clips[column]


def limit_of(settings: InterleaveSettings, rule: Rule) -> float | None:
    """The threshold in the settings, or None where there is none."""
    found = getattr(settings.filter, rule.field)
    return None if found is None or (rule.zero and not found) else float(found)


def stays(clips: Columns, rule: Rule, limit: float) -> np.ndarray:
    """Which clips a threshold keeps."""
    values = values_of(clips, rule.column)
    if rule.missing is not None:
        values = np.where(np.isnan(values), rule.missing, values)
    kept: np.ndarray = values >= limit if rule.is_least else values <= limit  # NaN never stays
    return kept


@dataclass(frozen=True)
class Names:
    """The names behind the columns `flags` and `language` of clips, as in a catalogue's `meta`."""

    flags: Sequence[str] = ()
    languages: Sequence[str] = ("",)


def broken(clips: Columns, settings: InterleaveSettings, names: Names) -> Iterator[tuple[str, np.ndarray]]:
    """(reason, which clips break the rule) for every rule in force, in the order in which the stage asks."""
    rules = settings.filter
    if rules.language:
        code = names.languages.index(rules.language) if rules.language in names.languages else -1
        yield "language", clips["language"] != code
    frames, texts = clips["frames"] > 0, clips["roles"] > 0
    if settings.require_frames:
        yield "no_frames", ~frames
    yield "no_text", ~texts if settings.require_text else ~texts & ~frames
    if not rules.unfamiliar:
        yield "unfamiliar", clips["unfamiliar"].astype(bool)
    for rule in RULES:
        if (limit := limit_of(settings, rule)) is not None:
            yield rule.reason, ~stays(clips, rule, limit)
    if wanted := sum(1 << code for code, name in enumerate(names.flags) if name in rules.flags):
        yield "flagged", (clips["flags"] & wanted) > 0


def kept(clips: Columns, settings: InterleaveSettings, names: Names) -> tuple[np.ndarray, dict[str, int]]:
    """Which clips stay, and how many go by their first broken rule."""
    alive = clips["reached"].astype(bool)
    left = int(np.count_nonzero(alive))
    losses = {}
    for reason, goes in broken(clips, settings, names):
        alive &= ~goes
        now = int(np.count_nonzero(alive))
        losses[reason], left = left - now, now
    return alive, losses


def recount(clips: Columns, settings: InterleaveSettings, names: Names) -> Recount:
    """The counts of a build with these settings."""
    alive, losses = kept(clips, settings, names)
    stopped = int(len(alive) - np.count_nonzero(clips["reached"]))
    items = clips["item"]
    count = np.bincount(items[alive], minlength=int(items[-1]) + 1 if len(items) else 0)
    if settings.adjacent_clips:
        taken = np.minimum(count, settings.adjacent_clips)
        losses["not_sampled"] = int((count - taken).sum())
        count = taken
    if settings.min_clips > 1:
        few = (count > 0) & (count < settings.min_clips)
        losses["few_clips"] = int(count[few].sum())
        count = np.where(few, 0, count)
    most = settings.clips_per_document
    documents = -(-count // most) if most else np.minimum(count, 1)
    return Recount(int(count.sum()), int(documents.sum()), int(np.count_nonzero(count)), stopped, losses)


def approximate(settings: InterleaveSettings) -> list[str]:
    """What the counts leave out of account, as settings; empty where they are those of the next build."""
    found = []
    if settings.filter.duplicate_frames is not None:
        found.append("interleave.filter.duplicate_frames")
    found += [f"interleave.{name}" for name in ("max_images", "max_tokens") if getattr(settings, name)]
    if settings.policy != "clip":
        found.append("interleave.policy")
    return found


def edge(
    clips: Columns, settings: InterleaveSettings, rule: Rule, most: int, names: Names
) -> tuple[np.ndarray, np.ndarray]:
    """The places of the clips nearest to a threshold that all other rules keep: (just go, just stay), nearest first."""
    limit = limit_of(settings, rule)
    without = settings.model_copy(
        update={"filter": settings.filter.model_copy(update={rule.field: 0 if rule.zero else None})}
    )
    alive, _ = kept(clips, without, names)
    values = values_of(clips, rule.column)
    if limit is None or not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    inside = stays(clips, rule, limit)
    known = alive & ~np.isnan(values)
    found = []
    for side in (known & ~inside, known & inside):
        places = np.flatnonzero(side)
        distance = np.abs(values[places] - limit)
        near = np.argpartition(distance, most)[:most] if len(places) > most else np.arange(len(places))
        found.append(places[near[np.argsort(distance[near], kind="stable")]])
    return found[0], found[1]
