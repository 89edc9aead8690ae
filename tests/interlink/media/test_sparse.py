"""The sparse pass hands out the very pictures of a full decode, few of them, and misses no cut for it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from interlink.media.decode import Frames, Unusable
from interlink.media.look import Looker
from interlink.media.packets import MAX_SECONDS, Packets
from interlink.media.probe import describe, open_media
from interlink.media.sparse import SKIP, Plan, Sparse, _between
from interlink.segment.evidence import Evidence
from interlink.segment.shots import Shots

REAL = [
    "apollo17_moonwalk_vp9_opus.webm", "av1_water_brick_channel.webm", "bikes_hard_cuts.mp4", "cockatoo_hevc.mp4",
    "fades_gray_levels.mp4", "flipping_a_pancake.mkv", "flower_rot90_metadata.mp4", "his_girl_friday.mp4",
    "making_cake_portrait.mp4", "mixing_bowl_two_hosts.mp4", "nasa_webb_multistream.mp4",
    "scratch_rotate_costume_screencast.mov", "shuttle_10s_silent.webm", "sintel_trailer_30s.mp4",
    "stir_fry_onion_carrot.avi", "tears_of_steel_battle.webm", "testvideo_vfr_drop3.mp4",
]  # fmt: skip


class Everything(Evidence):
    """Scans every group, so that all that can be handed out is."""

    def __init__(self) -> None:
        super().__init__(float("inf"), cuts=True)

    def plan(self, *given: object) -> Plan:
        return Plan(scan=True)


class Nothing(Evidence):
    """Wants keyframes only."""

    def __init__(self) -> None:
        super().__init__(float("inf"), cuts=False)

    def plan(self, *given: object) -> Plan:
        return SKIP


def sparse_cuts(path: Path) -> list[float]:
    with open_media(path) as container:
        sparse = Sparse(Packets(container, describe(container, path)), Looker(), Evidence(float("inf"), cuts=True))
        shots = Shots()
        verdicts = [verdict for _, look in sparse for verdict in shots.feed(look)] + shots.finish()
    return [verdict.time for verdict in verdicts if verdict.boundary]


def full_cuts(path: Path) -> list[float]:
    with open_media(path) as container:
        looker, shots = Looker(), Shots()
        verdicts = [
            verdict
            for decoded in Frames(container, describe(container, path))
            for verdict in shots.feed(looker.look(decoded.time, decoded.frame))
        ] + shots.finish()
    return [verdict.time for verdict in verdicts if verdict.boundary]


def pictures(path: Path, planner: Evidence) -> tuple[dict[float, bytes], list[float]]:
    """Pixels by time, and the times of all pictures."""
    with open_media(path) as container:
        packets = Packets(container, describe(container, path))
        sparse = Sparse(packets, Looker(), planner)
        found = {decoded.time: decoded.frame.to_ndarray().tobytes() for decoded, _ in sparse}
        return found, list(sparse.times)


@pytest.mark.parametrize("name", REAL)
def test_every_picture_is_the_one_of_a_full_decode(shared_data: Path, name: str) -> None:
    path = shared_data / "clips" / name

    found, times = pictures(path, Everything())

    whole: dict[float, bytes] = {}
    with av.open(str(path)) as container:  # a plain full decode with the decoder's own threads
        stream = next(s for s in container.streams.video if s.index == describe(container, path).video.index)
        for frame in container.decode(stream):
            whole[round(float(frame.pts * frame.time_base), 6)] = frame.to_ndarray().tobytes()
            if len(whole) > 700:
                break
    common = [time for time in found if time <= max(whole)]
    assert len(common) >= len(whole) // 5
    assert all(whole[time] == found[time] for time in common)
    assert [time for time in times if time <= max(whole)] == sorted(whole)  # the index knows every picture


@pytest.mark.parametrize("name", REAL)
def test_the_same_cuts_as_with_every_picture(shared_data: Path, name: str) -> None:
    path = shared_data / "clips" / name

    assert sparse_cuts(path) == full_cuts(path)


def test_keyframes_only_where_nothing_else_is_wanted(shared_data: Path) -> None:
    found, times = pictures(shared_data / "clips" / "commentary_greenscreen_timecode.mp4", Nothing())

    assert (len(found), len(times)) == (22, 1272)


def write(path: Path, shots: list[tuple[int, int]], gop: int, **options: str) -> None:
    """A 25 fps video of shots (seed of a picture, number of pictures) with a keyframe every `gop` pictures only."""
    with av.open(str(path), "w") as container:
        x264 = {"x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0", "threads": "1", **options}
        stream = container.add_stream("libx264", rate=25, options=x264)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        number = 0
        for seed, length in shots:
            chance = np.random.default_rng(seed)
            scene = np.kron(chance.integers(20, 230, (6, 12, 3)), np.ones((32, 32, 1))).astype(np.uint8)
            for shift in range(length):
                picture = np.roll(scene, shift // 8, axis=1)[:, :320]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts = number
                number += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("options", [{}, {"bf": "0"}, {"flags": "-cgop"}])
@pytest.mark.parametrize("at", [53, 60, 74, 75, 76, 98])
def test_a_cut_anywhere_in_a_group_is_found_to_the_picture(tmp_path: Path, at: int, options: dict[str, str]) -> None:
    path = tmp_path / "cut.mp4"
    write(path, [(1, at), (2, 175 - at)], gop=25, **options)

    assert sparse_cuts(path) == [at / 25]


def test_two_cuts_in_one_group_and_the_scene_between_them_are_found(tmp_path: Path) -> None:
    path = tmp_path / "away.mp4"
    write(path, [(1, 60), (2, 20), (1, 95)], gop=100)

    assert sparse_cuts(path) == [60 / 25, 80 / 25]


@pytest.mark.parametrize("through", ["other", "black"])
@pytest.mark.parametrize("start", [30, 55, 70])
def test_a_transition_within_or_across_groups_is_found_once(tmp_path: Path, through: str, start: int) -> None:
    path = tmp_path / "fade.mp4"
    scenes = [
        np.kron(np.random.default_rng(seed).integers(20, 230, (6, 10, 3)), np.ones((32, 32, 1))) for seed in (1, 2)
    ]
    shares = [min(max((number - start) / 16, 0.0), 1.0) for number in range(125)]
    with av.open(str(path), "w") as container:
        options = {"x264-params": "keyint=50:min-keyint=50:scenecut=0", "threads": "1"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for number, share in enumerate(shares):
            if through == "other":
                picture = scenes[0] * (1 - share) + scenes[1] * share
            else:
                picture = scenes[share >= 0.5] * abs(1 - 2 * share)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    (cut,) = sparse_cuts(path)

    assert start / 25 <= cut <= (start + 17) / 25


def test_a_file_with_one_keyframe_is_handed_on_in_pieces(shared_data: Path) -> None:
    path = shared_data / "clips" / "sintel_trailer_30s.mp4"
    with open_media(path) as container:
        groups = list(Packets(container, describe(container, path)))

    assert [group.continues for group in groups] == [False, True, True]
    assert all(group.times[-1] - group.start < MAX_SECONDS + 1 for group in groups)


def test_packets_without_times_are_left_to_the_full_decode(shared_data: Path) -> None:
    path = shared_data / "clips" / "fades_gray_levels.mp4"

    class Timeless:
        def __init__(self, container: object) -> None:
            self._container, self.streams = container, container.streams  # type: ignore[attr-defined]

        def demux(self, *streams: object):  # type: ignore[no-untyped-def]
            for packet in self._container.demux(*streams):  # type: ignore[attr-defined]
                packet.pts = None
                yield packet

    with open_media(path) as container, pytest.raises(Unusable):
        list(Packets(Timeless(container), describe(container, path)))


def seen(path: Path, planner: Evidence) -> dict[int, bool]:
    """Numbers of the pictures at 25 a second that are returned, and whether none was skipped before each."""
    with open_media(path) as container:
        sparse = Sparse(Packets(container, describe(container, path)), Looker(), planner)
        return {round(decoded.time * 25): look.follows for decoded, look in sparse}


class Calm(Everything):
    """Sees no jump anywhere."""

    def jump(self, *given: object) -> bool:
        return False


class First(Nothing):
    """Scans the first group only."""

    def plan(self, *given: object) -> Plan:
        return Plan(scan=given[0].start == 0)  # type: ignore[attr-defined]


def test_a_jump_over_pictures_that_were_left_out_starts_the_group_again_and_decodes_those(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write(path, [(1, 53), (2, 47)], gop=100)

    calm, jumped = seen(path, Calm()), seen(path, Everything())

    assert not calm.get(53)  # the new scene's first picture is not known from the pictures that others refer to
    assert set(range(52, 58)) <= set(jumped)
    assert all(jumped[number] for number in range(53, 58))
    assert set(calm) < set(jumped)
    assert set(jumped) < set(range(100))  # far from the jump pictures are still left out
    assert list(jumped) == sorted(jumped)


def test_a_picture_follows_where_none_was_left_out_before_it(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    write(path, [(1, 100)], gop=50)

    found = seen(path, Calm())

    assert found[0]
    numbers = list(found)
    assert [found[number] for number in numbers[1:]] == [number - before == 1 for before, number in pairwise(numbers)]
    assert 0 < sum(found.values()) < len(numbers)


def test_pictures_around_the_next_keyframe_are_decoded_with_the_group_before_it(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    write(path, [(1, 100)], gop=50)

    found = seen(path, First())
    assert {50, 51, 52, 53} <= set(found)
    assert (found[51], found[52], found[53]) == (True, True, True)
    assert list(seen(path, Nothing())) == [0, 50]


def test_the_first_picture_after_a_skipped_group_does_not_follow(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    write(path, [(1, 75)], gop=25)

    assert seen(path, Nothing()) == {0: True, 25: False, 50: False}


def test_times_between_two_have_neighbours_on_request() -> None:
    times = [float(number) for number in range(10)]

    assert _between(times, 3.0, 6.0) == [4.0, 5.0]
    assert _between(times, 3.0, 6.0, 2) == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert _between(times, 0.0, 2.0, 3) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert _between(times, 4.0, 5.0) == []
