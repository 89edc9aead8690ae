"""Features: the same picture has everything in common with itself, another scene little."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.media.look import Look
from interlink.segment.features import SIZE, alikeness, features_of


def scene(seed: int, shift: int = 0, brighter: int = 0) -> Look:
    draw = np.random.default_rng(seed)
    luma = draw.integers(40, 200, (5, 8)).repeat(8, 0).repeat(8, 1) + brighter
    chroma = draw.integers(60, 200, (2, 5, 8)).repeat(4, 1).repeat(4, 2)
    return Look(0.0, np.roll(luma, shift, 1).astype(np.uint8), chroma.astype(np.uint8))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_features_have_length_one_for_any_picture(seed: int) -> None:
    draw = np.random.default_rng(seed)
    spread = draw.integers(1, 256)
    noise = Look(0.0, draw.integers(0, spread, (40, 64), np.uint8), draw.integers(0, spread, (2, 20, 32), np.uint8))

    features = features_of(noise)

    assert features.shape == (SIZE,)
    assert abs(np.linalg.norm(features) - 1) < 1e-9
    assert abs(alikeness(features, features) - 1) < 1e-9


def test_a_moved_camera_changes_less_than_another_scene() -> None:
    first = features_of(scene(1))

    assert alikeness(first, features_of(scene(1, shift=2))) > 0.9
    assert alikeness(first, features_of(scene(1, brighter=4))) > 0.85
    assert all(alikeness(first, features_of(scene(seed))) < 0.8 for seed in range(2, 8))
