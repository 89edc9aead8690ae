"""Large faces are found in real pictures; without the weights there is an error that says what to install."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interlink.engines import detector
from interlink.errors import UserError


def picture(path: Path, time: float) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        frame = next(frame for frame in container.decode(video=0) if frame.time >= time)
        return frame.reformat(320, 240, format="rgb24").to_ndarray()


def test_without_the_weights_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "is_installed", lambda: False)
    with pytest.raises(UserError, match="facenet-pytorch") as raised:
        detector.check_detector("mtcnn")
    assert raised.value.do == "pip install --no-deps facenet-pytorch"


def test_two_hosts_are_found_and_hands_at_a_bowl_are_none(shared_data: Path) -> None:
    if not detector.is_installed():
        pytest.skip(f"the weights of the face detector are not installed: {detector.INSTALL}")
    path, faces = shared_data / "clips" / "mixing_bowl_two_hosts.mp4", detector.make_detector("mtcnn")
    assert faces is not None

    assert faces.largest(picture(path, 1.3)) == 0.0
    assert len(faces.find(picture(path, 10.3))) == 2
    assert faces.largest(picture(path, 10.3)) == pytest.approx(0.39, abs=0.05)
