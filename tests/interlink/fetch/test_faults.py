"""Faults of the set-up pause their host after twenty in a row; its other items stay open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from interlink.errors import UserError
from interlink.fetch.faults import MOST, Faults, SetupFault
from interlink.stage import Context, Item
from interlink.stages import download
from interlink.stages.download import Download, DownloadSettings
from interlink.storage import Storage


def test_a_success_starts_the_count_again_and_the_first_fault_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults()
    for _ in range(2):
        for _ in range(MOST - 1):
            faults.failed("a", SetupFault("no_video", "no JavaScript runtime"))
        faults.succeeded("a")
    assert faults.paused == {}
    for _ in range(MOST):
        faults.failed("a", SetupFault("no_video", "no JavaScript runtime"))
    assert faults.paused == {"a": "no JavaScript runtime"}
    assert [record.message for record in caplog.records] == ["a: yt-dlp says: no JavaScript runtime"]


class Faulty:
    """A pool whose host `a` lacks a helper."""

    def __init__(self, *_: Any) -> None: ...

    def fetch(self, url: str, folder: Path, transfer: Any) -> Any:
        raise SetupFault("no_video", "Requested format is not available")

    def close(self) -> None: ...


def test_the_items_of_a_paused_host_get_no_row_and_the_build_stops_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "Pool", Faulty)
    (tmp_path / "b.mp4").write_bytes(b"x")
    context = Context(Storage(str(tmp_path / "root")))
    stage = Download(DownloadSettings(concurrency=1, proxy=""), context)

    def items() -> Iterator[Item]:
        for number in range(MOST + 5):
            source = {"kind": "url", "uri": f"http://a/{number}.mp4", "title": "", "video_id": ""}
            yield Item(f"a{number}", "000", {"collect": source}, {}, context)
        source = {"kind": "file", "uri": str(tmp_path / "b.mp4"), "title": "", "video_id": ""}
        yield Item("b", "000", {"collect": source}, {}, context)

    stage.open()
    rows = []
    with pytest.raises(UserError, match=r"5 items stay open.*Requested format is not available"):
        for row in stage.run(items()):
            rows.append(row)
    stage.close()

    assert [row.id for row in rows] == [*(f"a{n}" for n in range(MOST)), "b"]
