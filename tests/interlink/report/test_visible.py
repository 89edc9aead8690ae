"""Text of third parties is shown, never obeyed: in terminals, in JSON, in pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from interlink.report import pictures
from interlink.report.pictures import draw_document
from interlink.report.status import Trouble
from interlink.report.terminal import print_json, print_troubles
from interlink.report.visible import visible
from interlink.report.why import Step, Why

EVIL = "soup\x1b[2J\x9b31m\u202eexe.\u2066\x07\u2028end"


def test_control_and_direction_marks_are_escaped_and_letters_stay() -> None:
    assert visible(EVIL) == r"soup\x1b[2J\x9b31m\u202eexe.\u2066\x07\u2028end"
    assert visible("Crème brûlée 飯 שלום\u200d") == "Crème brûlée 飯 שלום\u200d"
    assert visible("a\nb", keep="\n") == "a\nb"


def test_lists_and_json_of_troubles_obey_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    trouble = Trouble("download", "x", "failed", "gone", EVIL)
    console = Console(width=200)
    with console.capture() as shown:
        print_troubles(console, [trouble])
    assert r"\x1b[2J" in shown.get() and not set("\x1b\x9b\u202e") & set(shown.get())

    print_json({"title": EVIL})
    out = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e\u2028") & set(out)
    assert json.loads(out) == {"title": EVIL}


def test_why_obeys_nothing() -> None:
    found = Why("x", EVIL, "000", (Step("download", "failed", "gone", EVIL, facts={"title": EVIL}),), (), ())
    assert not set("\x1b\x9b\u202e\u2028") & set("\n".join(found.lines()))


@pytest.mark.parametrize("title", ["soup\nstew", "x" * 10_000, EVIL, "", "  ", "word " * 5000])
def test_a_title_of_any_kind_fits_its_picture(tmp_path: Path, title: str) -> None:
    document = {
        "id": "video",
        "source": {"title": title},
        "segments": [{"type": "text", "role": "speech", "text": title * 3}],
    }
    path = tmp_path / "made.png"

    draw_document(document, {}, path)

    with Image.open(path) as picture:
        assert picture.width < 1800
        assert picture.height < (pictures.TEXT_LINES + pictures.TITLE_LINES + 4) * (pictures.FONT + 5)
