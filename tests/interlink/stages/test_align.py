"""align on the sample world: the lead that truth.json tells is found in the words and clips that the stages made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builds import make
from interlink.sample import render
from interlink.sample.plan import SampleOptions
from interlink.stage import Context, Item, Row
from interlink.stages.align import Align, AlignSettings
from interlink.storage import Storage
from interlink.tables import SCHEMAS


def run(sentences: list[float], clips: list[float]) -> Row:
    context = Context(Storage("/nowhere"))
    rows = {
        "transcribe": {"sentences": [{"start": start} for start in sentences]},
        "keyframes": {"clips": [{"start": start} for start in clips]},
    }
    (row,) = Align(AlignSettings(), context).run(iter([Item("video", "0", rows, {}, context)]))
    return row


def test_words_before_the_picture_lead_and_words_after_it_lag() -> None:
    clips = [0.0, 4.0, 7.0, 13.0, 15.0, 22.0]

    assert run([start - 1 for start in clips[1:]], clips).fields["lead"] == pytest.approx(1.0, abs=0.01)
    assert run([start + 2 for start in clips[1:]], clips).fields["lead"] == pytest.approx(-2.0, abs=0.01)


def test_the_row_fits_its_table_also_where_nothing_can_be_told() -> None:
    row = run([], [0.0, 1.0])

    assert row.fields == {"lead": None, "confidence": 0.0, "onsets": 0, "changes": 1}
    assert set(row.fields) <= set(SCHEMAS["align"].names)


@pytest.mark.slow
def test_the_lead_of_the_sample_world_is_found_from_what_the_stages_made(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    render(clips, 4, 0, options=SampleOptions(width=160, height=128, long=1.0, long_steps=(12, 14)))  # type: ignore[call-arg]
    truth = {name: video["lead"] for name, video in json.loads((clips / "truth.json").read_text())["videos"].items()}

    build = make(tmp_path / "root", clips, "stages=[download, transcribe, keyframes, align]")
    build.run()

    fingerprint = build.recipe.fingerprints({})["align"]
    rows = {
        key.rpartition("-")[0]: row
        for name, _ in build.workspace.partitions()
        for key, row in build.workspace.partition("align", fingerprint, name).rows().items()
    }
    assert set(rows) == set(truth)
    for name, row in rows.items():
        assert row["status"] == "ok"
        assert row["lead"] == pytest.approx(truth[name], abs=0.15), name
        assert row["confidence"] > 0.1
