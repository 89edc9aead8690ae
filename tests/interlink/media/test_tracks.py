"""Text tracks of containers: their labels, and packets that are not UTF-8."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("av")

from av.stream import Disposition

from interlink.media.probe import Probe, StreamInfo
from interlink.media.tracks import Track, read_track, text_tracks
from interlink.text.languages import Label


class Packet:
    def __init__(self, start: int, data: bytes) -> None:
        self.pts, self.duration, self.time_base = start, 1000, Fraction(1, 1000)
        self.data, self.size = data, len(data)

    def __bytes__(self) -> bytes:
        return self.data


class Container:
    """The parts of a PyAV container that are read."""

    def __init__(self, packets: list[Packet] = (), **stream: Any) -> None:  # type: ignore[assignment]
        defaults: dict[str, Any] = {"metadata": {}, "disposition": Disposition(0)}
        self.streams = [SimpleNamespace(**(defaults | stream))]
        self.packets = packets

    def seek(self, offset: int) -> None: ...

    def demux(self, stream: Any) -> Any:
        return iter(self.packets)


def labels(language: str = "", **stream: Any) -> list[Label]:
    info = StreamInfo(0, "subtitle", "subrip", language, False, False, None, None)
    return [each.label for each in text_tracks(Probe("v", "", 0, None, (info,), None), Container(**stream))]


@pytest.mark.parametrize(
    ("stream", "kinds"),
    [
        ({"disposition": Disposition.forced | Disposition.default}, {"forced"}),
        ({"disposition": Disposition.hearing_impaired}, {"sdh"}),
        ({"disposition": Disposition.comment}, {"commentary"}),
        ({"metadata": {"title": "English (SDH)"}}, {"sdh"}),
        ({"metadata": {"title": "Chapter 3"}}, set()),
        ({"metadata": {"handler_name": "SubtitleHandler"}}, set()),
    ],
)
def test_flags_and_titles_give_the_kind(stream: dict[str, Any], kinds: set[str]) -> None:
    assert [set(label.kinds) for label in labels("eng", **stream)] == [kinds]


def test_a_title_gives_the_language_that_the_container_does_not() -> None:
    assert [label.language for label in labels("und", metadata={"title": "Deutsch"})] == ["de"]
    assert [label.language for label in labels("fre", metadata={"title": "Deutsch"})] == ["fre"]


@pytest.mark.parametrize(
    "stream",
    [{"metadata": {"title": "Chapters"}}, {"disposition": Disposition.metadata}, {"metadata": {"name": "Storyboard"}}],
)
def test_tracks_that_are_no_speech_are_left_out(stream: dict[str, Any]) -> None:
    assert labels("eng", **stream) == []


TEXT = ("Сначала аккуратно очистите лук.", "Потом нарежьте его кубиками.")


@pytest.mark.parametrize(("language", "likely", "doubted"), [("rus", (), False), ("", ("ru",), False), ("", (), True)])
@pytest.mark.parametrize("encoding", ["cp1251", "utf-8"])
def test_packets_in_other_encodings_are_read_or_doubted(
    language: str, likely: tuple[str, ...], doubted: bool, encoding: str
) -> None:
    packets = [Packet(1000 * n, text.encode(encoding)) for n, text in enumerate(TEXT, start=1)]

    found = read_track(Container(packets), Track(0, "subrip", Label(language)), likely)

    assert [cue.text for cue in found.cues] == list(TEXT)
    assert bool(found.problems) is (doubted and encoding != "utf-8")


def test_styles_of_ass_packets_are_read() -> None:
    packets = [Packet(1000, b"0,0,Sign,,0,0,0,,Cafe"), Packet(1500, b"1,2,Default,,0,0,0,,Peel, it.")]

    found = read_track(Container(packets), Track(0, "ass", Label()))

    assert [(cue.text, cue.aside, cue.group) for cue in found.cues] == [
        ("Cafe", "overlay", "sign/0"),
        ("Peel, it.", "", "default/2"),
    ]
