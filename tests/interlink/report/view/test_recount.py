"""The recount over all clips at once is what the stage says of each, and what the next build counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.api import Build
from interlink.interleave.evidence import ClipEvidence, FrameAt, Line
from interlink.interleave.filters import judge
from interlink.interleave.settings import FilterSettings, InterleaveSettings
from interlink.report.view.catalogue import Catalogue, update
from interlink.report.view.recount import RULES, Names, approximate, edge, recount
from interlink.report.view.schema import CLIPS
from interlink.runtime.workspace import Workspace
from interlink.shards.document import Role
from interlink.storage import Storage

FLAGS = ("short", "names")
score = st.one_of(st.none(), st.floats(0, 1), st.sampled_from((0.0, 0.1, 0.3, 1.0)))
limit = st.one_of(st.none(), st.floats(0, 1), st.sampled_from((0.0, 0.1, 0.3, 1.0)))


@st.composite
def evidence(draw: st.DrawFn, number: int) -> ClipEvidence:
    start = draw(st.floats(0, 1))
    roles = draw(st.lists(st.sampled_from(get_args(Role)), unique=True, max_size=2))
    text = "word " * draw(st.integers(1, 4))
    texts: dict[str, Any] = {role: text if role in ("caption", "narration") else (Line(text, 0, 1),) for role in roles}
    quality = {name: draw(score) for name in ("sharpness", "light", "motion", "talking", "print")}
    return ClipEvidence(
        **{"caption": "", "speech": (), **texts},
        number=number,
        start=start,
        end=start + draw(st.floats(0, 1)),
        frames=(FrameAt(0, start),) * draw(st.integers(0, 2)),
        flag=draw(st.sampled_from(("", "short", "names", "short,names"))),
        caption_flag=draw(st.sampled_from(("", "", "unfamiliar", "empty"))),
        roles=tuple(roles),
        quality=quality,
        scores={name: value for name in ("similarity", "agreement", "safety") if (value := draw(score)) is not None},
    )


@st.composite
def chosen(draw: st.DrawFn) -> InterleaveSettings:
    thresholds: dict[str, Any] = {rule.field: draw(limit) for rule in RULES if not rule.zero}
    thresholds |= {rule.field: draw(st.one_of(st.just(0), st.integers(1, 6))) for rule in RULES if rule.zero}
    thresholds |= {"shortest": draw(st.one_of(st.just(0.0), st.floats(0, 1)))}
    thresholds |= {"unfamiliar": draw(st.booleans()), "flags": draw(st.sampled_from(((), ("names",), FLAGS)))}
    few = {name: None for name in thresholds if draw(st.integers(0, 2)) and name not in ("flags", "unfamiliar")}
    kept = {name: value for name, value in thresholds.items() if name not in few}
    return InterleaveSettings(
        require_text=draw(st.booleans()), require_frames=draw(st.booleans()), filter=FilterSettings(**kept)
    )


def columns(clips: list[ClipEvidence]) -> dict[str, np.ndarray]:
    def number(value: float | None) -> float:
        return np.nan if value is None else value

    found: dict[str, list[Any]] = {
        **{name: [number(clip.quality[name]) for clip in clips] for name in ("sharpness", "light", "motion")},
        **{name: [number(clip.quality[name]) for clip in clips] for name in ("talking", "print")},
        **{
            name: [number((clip.scores or {}).get(name)) for clip in clips]
            for name in ("similarity", "agreement", "safety")
        },
        "start": [clip.start for clip in clips],
        "end": [clip.end for clip in clips],
        "tokens": [clip.tokens() for clip in clips],
        "frames": [len(clip.frames) for clip in clips],
        "roles": [len(clip.roles) for clip in clips],
        "unfamiliar": [clip.caption_flag == "unfamiliar" for clip in clips],
        "flags": [sum(1 << FLAGS.index(name) for name in clip.flag.split(",") if name) for clip in clips],
        "reached": [True] * len(clips),
        "item": list(range(len(clips))),
    }
    return {name: np.array(values, CLIPS[name]) for name, values in found.items()}


@given(st.lists(st.integers(), max_size=12).flatmap(lambda n: st.tuples(*map(evidence, range(len(n))))), chosen())
@settings(max_examples=150, deadline=None)
def test_the_recount_is_the_stages_own_judgement(clips: tuple[ClipEvidence, ...], rules: InterleaveSettings) -> None:
    verdicts = [judge(clip, rules) for clip in clips]

    found = recount(columns(list(clips)), rules, Names(FLAGS))

    assert {reason: n for reason, n in found.losses.items() if n} == Counter(v.reason for v in verdicts if v)
    assert found.clips == found.documents == found.videos == verdicts.count(None)


def catalogue_of(root: Path) -> Catalogue:
    return update(Workspace(Storage(str(root))))


def test_ten_sets_of_thresholds_give_the_next_builds_counts(copied: Callable[[], Path]) -> None:
    root = copied()
    clips = catalogue_of(root).clips
    draw = random.Random(3)
    for _ in range(10):
        rules = draw.sample([rule for rule in RULES if np.isfinite(clips_of(clips, rule.column)).any()], 2)
        sets = {f"filter.{rule.field}": float(draw.choice(clips_of(clips, rule.column))) for rule in rules}
        sets = {name: int(value) if name.endswith("tokens") else value for name, value in sets.items()}
        sets |= {"clips_per_document": draw.choice((0, 2, 8)), "min_clips": draw.choice((1, 1, 2))}
        sets |= {"adjacent_clips": draw.choice((0, 3))}
        build = Build(None, root, [f"interleave.{name}={value!r}" for name, value in sets.items()])
        settings = next(block.settings for block in build.recipe.blocks if block.name == "interleave")
        assert isinstance(settings, InterleaveSettings)
        found = recount(clips, settings, Names())

        made = build.run(("interleave",)).status

        assert approximate(settings) == []
        assert (found.documents, found.clips) == (made.documents, made.clips), sets
        assert found.videos == made.stages["interleave"].ok


def clips_of(clips: dict[str, np.ndarray], column: str) -> np.ndarray:
    values = clips["end"] - clips["start"] if column == "seconds" else clips[column]
    return values[clips["reached"].astype(bool) & np.isfinite(values)] if column != "safety" else np.array([])


def test_zero_is_no_limit_and_videos_that_never_reach_interleave_do_not_count(root: Path) -> None:
    clips = catalogue_of(root).clips
    found = recount(clips, InterleaveSettings(), Names())
    assert found == recount(clips, InterleaveSettings(filter=FilterSettings(longest=0, shortest=0, tokens=0)), Names())
    assert found.stopped == int((clips["reached"] == 0).sum()) > 0
    assert found.clips + sum(found.losses.values()) + found.stopped == len(clips["item"])


def test_clips_at_the_edge_are_the_nearest_that_other_rules_keep(root: Path) -> None:
    clips = catalogue_of(root).clips
    (rule,) = [rule for rule in RULES if rule.field == "sharpness"]
    middle = float(np.median(clips["sharpness"]))
    below, above = edge(clips, InterleaveSettings(filter=FilterSettings(sharpness=middle)), rule, 3, Names())
    texts = (clips["roles"] > 0) & (clips["reached"] > 0)
    values = np.sort(clips["sharpness"][texts])
    assert clips["sharpness"][above].tolist() == values[values >= middle][:3].tolist()
    assert clips["sharpness"][below].tolist() == values[values < middle][::-1][:3].tolist()


def test_what_the_recount_cannot_know_is_named() -> None:
    rules = InterleaveSettings(policy="temporal", max_tokens=9, filter=FilterSettings(duplicate_frames=2))
    assert approximate(rules) == [
        "interleave.filter.duplicate_frames",
        "interleave.max_tokens",
        "interleave.policy",
    ]
