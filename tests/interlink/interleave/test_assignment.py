"""assignment equals scipy's optimum; its noise and its order are what they say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from interlink.errors import UserError
from interlink.interleave.assignment import assign, in_order, noise
from interlink.shards import document as documents
from interlink.stage import Context
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.storage import Storage
from scoring import scored
from telling import FINGERPRINTS, Video, make_items


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000), st.booleans())
def test_the_total_is_scipys(rows: int, columns: int, seed: int, coarse: bool) -> None:
    matrix = np.random.default_rng(seed).normal(0.2, 0.1, (rows, columns))
    if coarse:
        matrix = matrix.round(1)  # with ties
    pairs = assign(matrix)
    best = linear_sum_assignment(matrix, maximize=True)

    assert len(pairs) == min(rows, columns) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert pairs == sorted(pairs)
    assert sum(matrix[pair] for pair in pairs) == pytest.approx(matrix[best].sum())
    if not coarse:
        assert pairs == list(zip(*(side.tolist() for side in best), strict=True))


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-0.2, 1)), max_size=7, unique_by=lambda pair: pair[0]))
def test_pairs_that_cross_give_way_to_the_heavier_ones(drawn: list[tuple[int, float]]) -> None:
    pairs = [(n, column) for n, (column, _) in enumerate(drawn)]
    weights = dict(zip(pairs, (weight for _, weight in drawn), strict=True))
    kept = in_order(pairs, list(weights.values()))

    assert all(a[1] < b[1] for a, b in pairwise(kept))
    best = 0.0
    for chosen in range(2 ** len(pairs)):
        some = [pair for n, pair in enumerate(pairs) if chosen >> n & 1]
        if all(a[1] < b[1] for a, b in pairwise(some)):
            best = max(best, sum(max(weights[pair], 0.0) for pair in some))
    assert sum(max(weights[pair], 0.0) for pair in kept) == pytest.approx(best)


def test_noise_is_cut_off_and_the_same_for_the_same_seed() -> None:
    drawn = noise((40, 40), "0:film", 0.06, 0.08)

    assert (drawn == noise((40, 40), "0:film", 0.06, 0.08)).all()
    assert (drawn != noise((40, 40), "1:film", 0.06, 0.08)).any()
    assert abs(drawn).max() == 0.08
    assert 0.03 < drawn.std() < 0.06
    assert not noise((2, 2), "x", 0.0, 0.08).any()


def test_frames_below_the_threshold_are_left_out_and_told_so(tmp_path: Path) -> None:
    root = Storage(str(tmp_path))
    context = Context(root, 0, "test", FINGERPRINTS)
    video = Video("film", [(0, 10, [1, 4, 8])], [("cut it", 2, 3)], ["An onion. A knife."])
    (item,) = make_items(root, [video], context=context)
    item = scored(item)
    one = np.eye(8, dtype=np.float16)
    frames, sentences = item.rows["score"]["frames"], item.rows["score"]["sentences"]
    for frame, direction in zip(frames, (0, 1, 7), strict=True):
        frame["vector"] = one[direction].tobytes()
    for sentence, direction in zip(sentences, (0, 1, 2), strict=True):  # two of the caption, one of the speech
        sentence["vector"] = one[direction].tobytes()

    settings_ = InterleaveSettings(policy="assignment")
    (row,) = Interleave(settings_, context).run(iter([item]))

    document = documents.load(row.fields["documents"][0]["document"])
    assert [getattr(s, "times", None) or s.text for s in document.segments] == [  # type: ignore[union-attr]
        [1.0],
        "An onion.",
        "cut it",
        [4.0],
        "A knife.",
    ]
    assert [(one["frame"], one["reason"]) for one in row.fields["left_out"]] == [(2, "unassigned")]


def test_a_build_without_vectors_is_told_what_to_set(tmp_path: Path) -> None:
    root = Storage(str(tmp_path))
    context = Context(root, 0, "test", FINGERPRINTS)
    (item,) = make_items(root, [Video("film", [(0, 10, [1])], [], ["An onion."])], context=context)
    item = scored(item)
    item.rows["score"]["frames"][0]["vector"] = b""

    with pytest.raises(UserError, match="vector") as caught:
        list(Interleave(InterleaveSettings(policy="assignment"), context).run(iter([item])))
    assert "score.engine" in caught.value.do
