"""The reduce step: decides from the sketches alone which videos of a build stay. A pure function.

Videos come in the build's order (generation, then keyed hash), and of two that are alike the earlier one stays: a new
generation never changes an earlier decision about duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from interlink.ids import keyed_hash
from interlink.select.clusters import k_means
from interlink.select.minhash import bands, distance, likeness
from interlink.select.settings import SelectSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FRAME_BANDS = 64  # of one number: copies that share a tenth of their pieces are compared with probability 0.999
_TEXT_LIKENESS = 0.7  # of benchmarks' texts if duplicate_text is off
TEXT_BANDS = 32  # of two numbers: texts of Jaccard similarity 0.5 are compared with probability 0.9999


@dataclass
class Decision:
    """The decision on a video and its basis (columns of the select table). reason: empty if the video is kept."""

    id: str
    reason: str = ""
    message: str = ""
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return not self.reason

    def drop(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message


def decide(videos: Sequence[tuple[str, Mapping[str, Any]]], settings: SelectSettings, seed: int) -> list[Decision]:
    """A decision for each (id, sketch), in order. Applies benchmarks, duplicates, similarity, balance and clusters."""
    sketches = dict(videos)
    decisions = [Decision(name, fields={"duplicate_of": "", "duplicate_by": "", "concept": ""}) for name, _ in videos]
    if settings.evaluation_sets:
        _drop_benchmarks(decisions, sketches, settings)
    if (bits := settings.duplicate_frames) is not None:
        _drop_alike(decisions, sketches, "frames", 1 - bits / 64, FRAME_BANDS, _alike_frames)
    if (least := settings.duplicate_text) is not None:
        _drop_alike(decisions, sketches, "text", least, TEXT_BANDS, _alike_text)
    if settings.duplicate_vectors is not None:
        _drop_near(decisions, sketches, settings.duplicate_vectors)
    if settings.lowest_share:
        _drop_lowest(decisions, sketches, settings.lowest_share)
    _balance(decisions, sketches, settings, seed)
    if settings.clusters:
        _cluster(decisions, sketches, settings)
    return decisions


def _drop_benchmarks(
    decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]], settings: SelectSettings
) -> None:
    """Drops videos that are like an item of a benchmark."""
    from interlink.select.evaluation import Benchmarks

    benchmarks = Benchmarks.load(settings.evaluation_sets)
    least = _TEXT_LIKENESS if settings.duplicate_text is None else settings.duplicate_text
    for decision in decisions:
        found = benchmarks.like(decision.id, sketches[decision.id], least, settings.evaluation_bits)
        if found:
            path, kind, value = found
            decision.drop("evaluation_set", f"like an item of {PurePath(path).name} by {kind}: {value:.2f}")


def _drop_alike(
    decisions: Sequence[Decision],
    sketches: Mapping[str, Mapping[str, Any]],
    kind: str,
    threshold: float,
    count: int,
    compare: Callable[[Mapping[str, Any], Mapping[str, Any]], float],
) -> None:
    """Drops duplicates. Compares only videos that share one of the `count` bands of their sketches."""
    buckets: dict[bytes, list[str]] = {}
    for decision in decisions:
        own = sketches[decision.id][kind]
        if not decision.kept or not own:
            continue
        pieces = bands(own, count)
        near = dict.fromkeys(name for piece in pieces for name in buckets.get(piece, ()))
        alike = [(compare(sketches[decision.id], sketches[name]), name) for name in near]
        best = max(alike, key=lambda pair: pair[0], default=(0.0, ""))
        if best[0] >= threshold:
            _drop_duplicate(decision, best[1], kind, best[0])
            continue
        for piece in pieces:
            buckets.setdefault(piece, []).append(decision.id)


def _alike_frames(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return 1 - distance(a["hashes"], b["hashes"]) / 64


def _alike_text(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return likeness(a["text"], b["text"])


def _drop_near(decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]], threshold: float) -> None:
    """Drops near-duplicates by the cosine of mean vectors, each against all kept before it. Costs N² × D operations."""
    import numpy as np

    there = [decision for decision in decisions if decision.kept and sketches[decision.id]["vector"]]
    if not there:
        return
    vectors = _vectors(there, sketches)
    stay: list[int] = []
    for number, decision in enumerate(there):
        if stay:
            cosines = vectors[stay] @ vectors[number]
            place = int(np.argmax(cosines))
            if cosines[place] >= threshold:
                _drop_duplicate(decision, there[stay[place]].id, "vector", float(cosines[place]))
                continue
        stay.append(number)


def _drop_duplicate(decision: Decision, other: str, kind: str, value: float) -> None:
    decision.fields.update(duplicate_of=other, duplicate_by=kind, likeness=round(value, 4))
    decision.drop("duplicate", f"like {other} by {kind}: {value:.2f}")


def _drop_lowest(decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]], share: float) -> None:
    """Drops the share with the least similarity of text and frames (TL;DR, ICCV 2023), unscored videos first."""
    left = [decision for decision in decisions if decision.kept]

    def fit(decision: Decision) -> float:
        value = sketches[decision.id]["similarity"]
        return -2.0 if value is None else float(value)

    for decision in sorted(left, key=fit)[: int(len(left) * share)]:
        decision.drop("low_similarity", f"among the least similar {share:.0%}: {fit(decision):.3f}")


def _balance(
    decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]], settings: SelectSettings, seed: int
) -> None:
    """MetaCLIP's balancing: each concept of a video keeps it with probability cap / count, at most 1; one is enough."""
    left = [decision for decision in decisions if decision.kept]
    counts = Counter(concept for decision in left for concept in sketches[decision.id]["concepts"])
    for decision in left:
        concepts = sorted(sketches[decision.id]["concepts"], key=lambda concept: (counts[concept], concept))
        decision.fields["concept"] = concepts[0] if concepts else ""
        if not settings.cap:
            continue
        if not concepts:
            if settings.unmatched == "drop":
                decision.drop("no_concept", "its text names no concept")
            continue
        lost = 1.0
        kept = False
        for concept in concepts:
            chance = min(1.0, settings.cap / counts[concept])
            lost *= 1 - chance
            kept |= int(keyed_hash(seed, f"{concept}:{decision.id}")[:13], 16) / 16**13 < chance
        decision.fields["chance"] = round(1 - lost, 6)
        if not kept:
            rarest = f"{concepts[0]!r}, its rarest concept, is in {counts[concepts[0]]} videos"
            decision.drop("balanced", f"{rarest}; the cap is {settings.cap}")


def _cluster(
    decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]], settings: SelectSettings
) -> None:
    """TL;DR's selection: an equal share of every cluster, evenly spread over the distances to its centre."""
    there = [decision for decision in decisions if decision.kept and sketches[decision.id]["vector"]]
    if not there:
        return
    labels, distances = k_means(_vectors(there, sketches), settings.clusters)
    members: dict[int, list[tuple[float, int]]] = {}
    for number, decision in enumerate(there):
        cluster, distance = int(labels[number]), round(float(distances[number]), 6)
        decision.fields.update(cluster=cluster, distance=distance)
        members.setdefault(cluster, []).append((distance, number))
    if settings.keep_share == 1:
        return
    for inside in members.values():
        inside.sort()
        count = max(1, round(len(inside) * settings.keep_share))
        chosen = {(2 * n + 1) * len(inside) // (2 * count) for n in range(count)}
        for place, (distance, number) in enumerate(inside):
            if place not in chosen:
                message = (
                    f"{count} of the {len(inside)} of its cluster stay; its distance to the centre is {distance:.3f}"
                )
                there[number].drop("not_selected", message)


def _vectors(decisions: Sequence[Decision], sketches: Mapping[str, Mapping[str, Any]]) -> NDArray[np.float64]:
    """(N, D) unit vectors."""
    import numpy as np

    rows = np.stack([np.frombuffer(sketches[decision.id]["vector"], np.float16) for decision in decisions])
    rows = rows.astype(np.float64)
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
