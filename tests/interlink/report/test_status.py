"""What `interlink status` says of a source: entries, items, repeats with an example, unreadable lines."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from interlink.fetch.counts import SourceCounts
from interlink.report.status import build_status, troubles
from interlink.report.terminal import print_status, print_troubles
from interlink.runtime.workspace import Workspace
from interlink.stages.collect import SourceSettings, scan
from interlink.storage import Storage


def collected(tmp_path: Path, data: bytes) -> Workspace:
    (tmp_path / "list.csv").write_bytes(data)
    workspace = Workspace(Storage(str(tmp_path / "root")))
    counts = SourceCounts()
    workspace.append(scan(SourceSettings(path=str(tmp_path / "list.csv")), counts), 0, counts)
    return workspace


def test_a_list_is_accounted_for(tmp_path: Path) -> None:
    workspace = collected(tmp_path, b"path,title\na.mp4,x\na.mp4,x\nb.mp4,y\n,no path\n")
    status = build_status(workspace, (), {}, "")
    source = status.json()["source"]
    assert (source["entries"], source["items"], source["repeats"], source["unreadable"]) == (4, 2, 1, 1)
    assert source["examples"]["repeats"] == "a.mp4"
    console = Console(record=True, width=300)
    print_status(console, status, ())
    said = console.export_text()
    assert "source: 4 entries -> 2 items, 1 repeats (for example a.mp4), 1 unreadable (for example line 5" in said


def test_a_guessed_encoding_is_shown_where_people_look(tmp_path: Path) -> None:
    workspace = collected(tmp_path, "path,title\na.mp4,crème brûlée à la carte\nb.mp4,plain\n".encode("cp1252"))
    status = build_status(workspace, (), {}, "")
    assert status.stages["collect"].partial == 1
    assert status.json()["source"]["uncertain"] == 1
    console = Console(record=True, width=300)
    print_troubles(console, troubles(workspace, (), {}))
    assert "partial: line 2: its encoding is not stated" in console.export_text()


def test_a_root_of_an_earlier_version_has_no_counts(tmp_path: Path) -> None:
    workspace = Workspace(Storage(str(tmp_path / "root")))
    (tmp_path / "a.mp4").write_bytes(b"x")
    workspace.append(scan(SourceSettings(path=str(tmp_path / "a.mp4"))), 0)
    status = build_status(workspace, (), {}, "")
    assert status.json()["source"] == {}
    console = Console(record=True)
    print_status(console, status, ())
    assert "source:" not in console.export_text()
