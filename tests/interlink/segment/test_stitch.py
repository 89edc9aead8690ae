"""Stitching: a cut within one scene goes, a cut between two stays; nothing else changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from interlink.media.look import Look
from interlink.segment.stitch import Stitch
from interlink.segment.verdict import Segmenter, Verdict


def look(time: float, scene: int) -> Look:
    draw = np.random.default_rng(scene)
    luma = draw.integers(40, 200, (5, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    return Look(time, luma, np.full((2, 20, 32), 90 + 12 * scene, np.uint8))


@dataclass
class Told(Segmenter):
    """A segmenter that says what it was told, `late` looks behind."""

    verdicts: list[Verdict]
    late: int = 0
    spacing: float = 0.0
    seen: int = 0

    def feed(self, look: Look) -> list[Verdict]:
        self.seen += 1
        return self._upto(look.time) if self.seen > self.late else []

    def finish(self) -> list[Verdict]:
        return self._upto(float("inf"))

    def _upto(self, time: float) -> list[Verdict]:
        ready = [verdict for verdict in self.verdicts if verdict.time <= time]
        self.verdicts = self.verdicts[len(ready) :]
        return ready


def stitched(scenes: list[int], cuts: set[int], unsettled: Collection[int] = (), late: int = 0) -> list[Verdict]:
    inner = Told([Verdict(float(n), n in cuts, n not in unsettled) for n in range(len(scenes))], late)
    stitch = Stitch(inner, alike=0.85)
    verdicts = [verdict for n, scene in enumerate(scenes) for verdict in stitch.feed(look(float(n), scene))]
    verdicts += stitch.finish()
    assert [verdict.time for verdict in verdicts] == [float(n) for n in range(len(scenes))]
    return verdicts


def cuts_of(verdicts: list[Verdict]) -> list[float]:
    return [verdict.time for verdict in verdicts if verdict.boundary]


def test_a_cut_within_a_scene_goes_and_one_between_scenes_stays() -> None:
    scenes = [1, 1, 1, 1, 2, 2, 2, 2]
    for late in (0, 3):
        assert cuts_of(stitched(scenes, {2, 4, 6}, late=late)) == [4.0]


def test_pictures_in_a_transition_are_not_compared() -> None:
    scenes = [1, 1, 7, 8, 1, 1]  # a flash of other pictures between two of the same scene
    flash = stitched(scenes, {2}, unsettled={2, 3})

    assert cuts_of(flash) == []
    assert [verdict.settled for verdict in flash] == [True, True, False, False, True, True]


def test_a_scene_that_returns_later_is_not_joined() -> None:
    assert cuts_of(stitched([1, 1, 2, 2, 1, 1], {2, 4})) == [2.0, 4.0]


def test_without_a_settled_picture_on_both_sides_the_cut_stays() -> None:
    assert cuts_of(stitched([1, 1, 1, 1], {2}, unsettled={0, 1})) == [2.0]
    assert cuts_of(stitched([1, 1, 1, 1], {2}, unsettled={2, 3})) == [2.0]


def test_a_boundary_planned_between_two_pictures_is_judged_by_the_pictures_around_it() -> None:
    for scenes, kept in (([1, 1, 1, 1], []), ([1, 1, 2, 2], [1.5])):
        verdicts = [Verdict(0.0, False, True), Verdict(1.0, False, True), Verdict(1.5, True, True)]
        verdicts += [Verdict(2.0, False, True), Verdict(3.0, False, True)]
        stitch = Stitch(Told(verdicts), alike=0.85)
        found = [each for n, scene in enumerate(scenes) for each in stitch.feed(look(float(n), scene))]
        found += stitch.finish()

        assert [each.time for each in found] == [0.0, 1.0, 1.5, 2.0, 3.0]
        assert cuts_of(found) == kept
