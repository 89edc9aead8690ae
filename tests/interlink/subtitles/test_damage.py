"""Damaged files of every format: nothing raises, what precedes the damage is kept, no row is a bug."""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from interlink.stage import Context, Item
from interlink.stages.transcribe import Transcribe, TranscribeSettings
from interlink.storage import Storage
from interlink.subtitles.cues import Cue
from interlink.subtitles.files import parse
from subtitle_files import WRITERS

MUTANTS = 60  # of each format
PUT_IN = (
    *(b"<", b">", b"&", b'"', b"{", b"[", b"]]>", b"<!DOCTYPE a>", b"<![CDATA[", b"\\ud800", b"1e999", b"-->"),
    *(b"<p t='1'>", b"</p></p>", b"{\\p1}", b"\x00", b"\xff\xfe", b"[" * 3000, b"<a>" * 300),
)


def real(shared_data: Path) -> list[tuple[float, float, str]]:
    """A real file's captions, to be written in each format."""
    cues = parse((shared_data / "subtitles" / "itaccess_captions_en.vtt").read_bytes()).cues
    shown = [(round(cue.start, 2), round(cue.end, 2), "\n".join(line.text for line in cue.lines)) for cue in cues]
    # Cues that overlap are cut in some formats; here they shall be the same in all.
    return [(start, min(end, following[0]), text) for (start, end, text), following in pairwise(shown)]


def mutate(data: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, taken out, put in, doubled, or the end cut off."""
    broken = bytearray(data)
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(broken) + 1)
        kind = draw.randrange(6)
        if kind == 0:
            del broken[at : at + draw.randint(1, 200)]
        elif kind == 1:
            broken[at:at] = draw.randbytes(draw.randint(1, 8))
        elif kind == 2:
            del broken[at:]
        elif kind == 3:
            broken[at:at] = broken[max(0, at - 100) : at]
        elif kind == 4:
            broken[at:at] = draw.choice(PUT_IN)
        elif broken:
            broken[at % len(broken)] ^= 1 << draw.randrange(8)
    return bytes(broken)


@pytest.mark.parametrize("name", WRITERS)
def test_no_row_of_a_damaged_file_is_a_bug(name: str, shared_data: Path, tmp_path: Path) -> None:
    draw = random.Random(name)
    data = WRITERS[name](real(shared_data)).encode()
    root = Storage(str(tmp_path))
    context = Context(root)
    clip = str(shared_data / "clips" / "bikes_hard_cuts.mp4")
    stage = Transcribe(TranscribeSettings(), context)

    for number in range(MUTANTS):
        broken = mutate(data, draw)
        root.write("tables/part.tar", broken)
        file = {"blob": "part.tar", "offset": 0, "size": len(broken), "sha256": ""}
        row = {"media": clip, "subtitles": [{"name": "a", "language": "en", "data": file}], "size": 0, "info": ""}
        item = Item("video", "0", {"collect": {}, "download": row}, {"download": "tables"}, context)
        (found,) = stage.run(iter([item]))

        assert found.status == "ok", (number, found.message)
        sentences = found.fields["sentences"]
        starts = [sentence["start"] for sentence in sentences]
        assert starts == sorted(starts)
        for sentence in sentences:  # a damaged time may lay it over others
            times = [sentence["start"], *(word["start"] for word in sentence["words"])]
            assert times == sorted(times)
            assert sentence["start"] <= sentence["end"]
        json.dumps(found.fields).encode()  # finite numbers
        "".join(sentence["text"] for sentence in sentences).encode()  # whole characters


@pytest.mark.parametrize("name", WRITERS)
def test_what_precedes_the_damage_is_kept(name: str, shared_data: Path) -> None:
    captions = real(shared_data)
    text = WRITERS[name](captions)
    data = text.encode()
    whole = parse(data).cues
    draw = random.Random(name)
    # Where each cue's text ends in the file: the cues before a place of damage are whole.
    ends, at = [], 0
    for cue in whole:
        at = text.index(max(re.findall("[A-Za-z]+", cue.lines[-1].text), key=len), at)
        ends.append(len(text[:at].encode()))

    for _ in range(40):
        place = draw.randrange(len(data))
        before = [cue for cue, end in zip(whole, ends, strict=True) if end + 120 < place]
        for broken in (
            data[:place],
            data[:place] + draw.randbytes(30),
            data[:place] + b"\x00<<<[[[{{{" + data[place + 50 :],
        ):
            assert _same(parse(broken).cues[: len(before)], before), (name, place)


def _same(found: list[Cue], expected: list[Cue]) -> bool:
    """Equal but for the end of the last one, which the next may have cut."""
    return [(cue.start, cue.lines) for cue in found] == [(cue.start, cue.lines) for cue in expected]
