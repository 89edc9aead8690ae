"""NudeNet's detector on real frames: it finds what it is asked for, and nothing that harms in kitchens and offices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import simplejpeg

from interlink.errors import StageError, UserError
from interlink.fingerprints import acting
from interlink.score import nudity
from interlink.score.nudity import Nudenet
from interlink.score.safety import NudenetSettings
from interlink.stages.score import Score, ScoreSettings

# (clip, second): two women talking, an office, a bowl
SCENES = (("mixing_bowl_two_hosts.mp4", 10.0), ("his_girl_friday.mp4", 5.0), ("mixing_bowl_two_hosts.mp4", 2.0))


@pytest.fixture(autouse=True)
def _package() -> None:
    pytest.importorskip("nudenet", reason="nudenet (the extra `safety`) is not installed")


@pytest.fixture(scope="module")
def frames(shared_data: Path) -> list[bytes]:
    return [_frame(shared_data / "clips" / name, second) for name, second in SCENES]


def opened(*labels: str, **options: int) -> Nudenet:
    checker = Nudenet(NudenetSettings(**({"unsafe_labels": labels} if labels else {}), **options))  # type: ignore[arg-type]
    checker.open()
    return checker


def test_it_finds_what_it_is_asked_for_and_names_the_frame(frames: list[bytes]) -> None:
    hosts, office, bowl = frames
    checker = opened("FACE_FEMALE", "FACE_MALE", batch_size=2)
    found = checker.judge([([bowl, hosts], ""), ([bowl], "a face"), ([office], ""), ([], "")])
    assert [what for _, what in found] == ["FACE_FEMALE in frame 1", "", "FACE_FEMALE in frame 0", ""]
    values = [value for value, _ in found]
    assert values[0] > 0.7 and values[1] == 0 and 0.3 < values[2] < 0.6 and values[3] == 0


def test_it_agrees_with_the_package_that_it_comes_from(frames: list[bytes]) -> None:
    from nudenet import NudeDetector

    theirs = NudeDetector()
    for frame in frames:
        faces = [one["score"] for one in theirs.detect(frame) if one["class"] == "FACE_FEMALE"]
        assert opened("FACE_FEMALE").judge([([frame], "")])[0][0] == pytest.approx(max(faces, default=0.0), abs=0.1)


def test_by_default_only_bare_bodies_count(frames: list[bytes]) -> None:
    assert opened().judge([(frames, "")]) == [(0.0, "")]


def test_what_it_is_and_what_it_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Nudenet(NudenetSettings()).open()
    assert identity.model.startswith("nudenet-3.") and identity.revision.startswith("file-")
    with pytest.raises(UserError, match="has no label 'NUDE'") as caught:
        opened("NUDE")
    assert "FACE_FEMALE" in caught.value.do and "score.nudenet.unsafe_labels" in caught.value.do
    with pytest.raises(StageError) as fault:
        opened().judge([([b"no JPEG"], "")])
    assert fault.value.error_class == "unreadable"
    monkeypatch.setattr(nudity.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs a package") as caught:
        Nudenet(NudenetSettings()).open()
    assert "interlink[safety]" in caught.value.do


def test_recipes_without_it_keep_their_fingerprint() -> None:
    assert "nudenet" not in acting(ScoreSettings(safety=("words",)))
    assert "nudenet" in acting(
        ScoreSettings(safety=("nudenet",), nudenet=NudenetSettings(unsafe_labels=("FACE_FEMALE",)))
    )
    assert Score.costly(ScoreSettings(safety=("nudenet",)))


def _frame(path: Path, second: float) -> bytes:
    return next(_jpegs(path, second))


def _jpegs(path: Path, second: float) -> Iterator[bytes]:
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= second:
                yield bytes(simplejpeg.encode_jpeg(frame.to_ndarray(format="rgb24"), quality=92))
