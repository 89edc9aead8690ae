"""The list of engines, prompts, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from interlink.engines.captioner import ClipRequest, Identity, check_engine, fill_prompt, make_captioner
from interlink.engines.frames import evenly
from interlink.errors import UserError
from interlink.settings import Settings


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no caption engine 'transformer'") as caught:
        check_engine("transformer")
    assert "'transformers'" in caught.value.do and caught.value.code == 2
    with pytest.raises(UserError) as caught:
        check_engine("xyz")
    assert "transcript, transformers, vllm, openai" in caught.value.do


def test_the_transcript_engine_repeats_the_speech() -> None:
    engine = make_captioner("transcript", Settings(), "")
    assert engine.open() == Identity("transcript")

    spoken, silent = engine.caption(ClipRequest("a", n, (), (), 0, 1, speech=s) for n, s in enumerate(["stir", ""]))

    assert (spoken.caption, spoken.flag) == ("stir", "")
    assert (silent.caption, silent.flag) == ("", "no_speech")


def test_what_a_title_says_is_no_placeholder() -> None:
    request = ClipRequest("a", 0, (), (), 0, 1, speech="{title}", title="{speech}", ocr="{ocr}{title}")

    assert fill_prompt("T {title} S {speech} O {ocr} {other}", request) == "T {speech} S {title} O {ocr}{title} {other}"


def test_frames_are_chosen_evenly() -> None:
    assert evenly((1, 2, 3), 5) == (1, 2, 3)
    assert evenly((0, 1, 2, 3, 4), 1) == (2,)
    assert evenly(tuple(range(10)), 2) == (2, 7)


def test_checking_a_recipe_imports_no_engine() -> None:
    code = (
        "import sys, interlink.engines.captioner, interlink.stages.caption, interlink.shards\n"
        "heavy = {'torch', 'transformers', 'openai', 'ray', 'PIL', 'webdataset', 'simplejpeg'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
