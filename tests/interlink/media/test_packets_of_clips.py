"""Which packets a copied clip takes, on streams made of numbers: ten ticks a second, a keyframe every second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from interlink.media.clipcopy import COPIED_AUDIO, COPIED_VIDEO, _groups, _order, _overlapping, _write
from interlink.media.clipfile import Deadline, Piece
from interlink.media.decode import Restarts


def packet(pts: int | None, key: bool = False, **changes: Any) -> Any:
    given = {"size": 9, "dts": pts, "duration": 1, "is_discard": False}
    return SimpleNamespace(pts=pts, is_keyframe=key, time_base=Fraction(1, 10), **{**given, **changes})


def plain(count: int = 50) -> list[Any]:
    return [packet(n, n % 10 == 0) for n in range(count)]


class Container:
    """Reads from the keyframe that was sought."""

    def __init__(self, packets: Sequence[Any]) -> None:
        self.packets = packets
        self.streams = [SimpleNamespace(time_base=Fraction(1, 10))]
        self.sought: list[int] = []

    def seek(self, at: int, stream: Any, backward: bool) -> None:
        assert stream is self.streams[0] and backward
        self.sought.append(at)

    def demux(self, stream: Any) -> Iterator[Any]:
        assert stream is self.streams[0]
        first = max((n for n, one in enumerate(self.packets) if self.sought and one.is_keyframe
                     and one.pts <= self.sought[-1]), default=0)  # fmt: skip
        yield from self.packets[first:]
        yield packet(None, size=0)


VIDEO: Any = SimpleNamespace(index=0)


def group(packets: Sequence[Any], start: float, end: float, sought: bool = True) -> tuple[Any, ...] | None:
    container = Container(packets)
    found = _groups(container, VIDEO, start, end, sought)
    assert container.sought == ([int(start / Fraction(1, 10))] if sought else [])
    return None if found is None else (found[0], [one.pts for one in found[1]])


@pytest.mark.parametrize("sought", [True, False])
@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (1.5, 2.5, 10, 29), (1.0, 2.0, 10, 19), (0.0, 0.5, 0, 9), (2.0, 2.1, 20, 29), (1.9, 3.01, 10, 39),
        (3.5, 9.0, 30, 49),
    ],
)  # fmt: skip
def test_a_copy_goes_from_the_keyframe_before_to_the_one_after(
    start: float, end: float, first: int, last: int, sought: bool
) -> None:
    piece = Piece(first / 10, (last + 1) / 10, last - first + 1)
    assert group(plain(), start, end, sought) == (piece, list(range(first, last + 1)))


def test_what_is_hidden_empty_or_without_a_time_is_not_counted() -> None:
    packets = plain(30)
    packets[10].is_discard = packets[11].is_discard = True
    packets[13].size, packets[14].pts = 0, None
    found = group(packets, 1.5, 1.8, sought=False)
    assert found is not None
    assert found[0] == Piece(1.2, 2.0, 6)
    assert found[1] == [10, 11, 12, 15, 16, 17, 18, 19]


def test_a_clock_that_starts_again_ends_the_part_and_a_small_step_back_does_not() -> None:
    swapped = plain(20)
    swapped[12].pts, swapped[13].pts = 13, 12
    found = group(swapped, 1.0, 1.5)
    assert found is not None and found[1][2:4] == [13, 12]
    again = [*plain(25), *plain(25)]
    found = group(again, 2.0, 9.0, sought=False)
    assert found == (Piece(2.0, 2.5, 5), [20, 21, 22, 23, 24])


def test_a_part_before_the_first_keyframe_or_after_the_end_has_none() -> None:
    late = [packet(n, n == 30) for n in range(25, 40)]
    assert group(late, 0.5, 2.9, sought=False) is None
    assert group(late, 0.5, 3.0, sought=False) is None
    assert group(late, 0.5, 3.1, sought=False) == (Piece(3.0, 4.0, 10), list(range(30, 40)))
    assert group([], 0.0, 1.0) is None
    untimed = [packet(0, True, duration=None), packet(5, duration=None)]
    assert group(untimed, 0.0, 9.0) == (Piece(0.0, 0.5, 2), [0, 5])


def sounds(packets: Sequence[Any], start: float, end: float, seek: bool = True) -> tuple[list[int], list[int]]:
    container = Container(packets)
    found = [one.pts for one in _overlapping(container, VIDEO, Piece(start, end, 1), seek)]
    return found, container.sought


def test_sound_of_a_piece_has_the_packet_before_that_its_first_needs() -> None:
    packets = [packet(n, True) for n in range(40)]
    assert sounds(packets, 1.5, 2.0, seek=False) == ([14, 15, 16, 17, 18, 19], [])
    assert sounds(packets, 0.0, 0.3, seek=False)[0] == [0, 1, 2]
    assert sounds(packets, 1.55, 1.75, seek=False)[0] == [14, 15, 16, 17]
    assert sounds(packets, 9.0, 9.5, seek=False)[0] == []
    found, sought = sounds(packets, 2.5, 2.8)
    assert found == [24, 25, 26, 27] and 0 <= sought[0] < 25
    empty = [*packets[:10], packet(None), packet(10, True, size=0), *packets[10:]]
    assert sounds(empty, 0.9, 1.2, seek=False)[0] == [8, 9, 10, 11]
    untimed = [packet(n, True, duration=None) for n in range(20)]
    assert sounds(untimed, 0.5, 0.7, seek=False)[0] == [5, 6]
    assert sounds([*packets, *packets], 3.5, 9.0, seek=False)[0] == [34, 35, 36, 37, 38, 39]


def test_decoding_times_follow_from_the_order_of_the_pictures() -> None:
    packets = [packet(pts, dts=None) for pts in (0, 3, 1, 2, 6, 4, 5)]
    _order(packets)
    assert [one.dts for one in packets] == [-1, 0, 1, 2, 3, 4, 5]
    assert all(one.dts <= one.pts for one in packets)
    whole = [packet(5, dts=1), packet(3, dts=2)]
    _order(whole)
    assert [one.dts for one in whole] == [1, 2]
    whole[1].dts = None
    _order(whole)
    assert [one.dts for one in whole] == [1, 3]


def test_streams_are_written_in_the_order_of_their_decoding_from_the_start_of_the_piece() -> None:
    video = [packet(20), packet(21), packet(22)]
    sound = [packet(205, dts=205), packet(215, dts=215)]
    for one in sound:
        one.time_base = Fraction(1, 100)
    written: list[Any] = []

    class Out:
        def add_stream_from_template(self, template: Any, opaque: bool) -> Any:
            assert opaque
            return f"to {template.name}"

        def mux(self, one: Any) -> None:
            written.append((one.stream, one.pts, one.dts))

    templates = [
        SimpleNamespace(name="v", time_base=Fraction(1, 10)),
        SimpleNamespace(name="a", time_base=Fraction(1, 100)),
    ]
    _write(Out(), list(zip(templates, (video, sound), strict=True)), 2.0, Deadline("x", 60))
    assert written == [("to v", 0, 0), ("to a", 5, 5), ("to v", 1, 1), ("to a", 15, 15), ("to v", 2, 2)]


def test_codecs_that_are_copied() -> None:
    assert COPIED_VIDEO == ("h264", "hevc", "av1", "vp9", "mpeg4")
    assert COPIED_AUDIO == ("aac", "mp3", "opus", "ac3", "eac3", "alac", "flac")


def test_pieces_after_a_restart_are_left_out_until_time_goes_on() -> None:
    found = Restarts()
    times = [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 4.0, 5.0]
    assert [found.leave_out(time, 1.0) for time in times] == [False] * 3 + [True] * 3 + [False] * 2
    assert (found.at, found.seconds) == (3.0, 3.0)
    assert found.loss() == "the clock restarts at 3.00 s: the 3.0 s after it were left out"
    assert Restarts().loss() == ""
    single = Restarts()
    assert [single.leave_out(time, 1.0) for time in (0.0, 1.0, -5.0, 2.0, 3.0)] == [False, False, True, False, False]
    assert (single.at, single.seconds) == (2.0, 1.0)
    twice = Restarts()
    for time in (0.0, 9.0, 0.0, 10.0, 0.0):
        twice.leave_out(time, 1.0)
    assert (twice.at, twice.seconds) == (10.0, 2.0)
