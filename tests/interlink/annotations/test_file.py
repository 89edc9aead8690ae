"""Annotation files: looked up by id, indexed once for a build, damage named with file and video."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from interlink.annotations import file as files
from interlink.annotations.entries import Span
from interlink.annotations.file import AnnotationFile
from interlink.errors import StageError, UserError
from interlink.storage import Storage


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "root"))


def opened(path: Path, root: Storage) -> AnnotationFile:
    return AnnotationFile(str(path), "annotations.clips.path", root)


def tsv(path: Path, *rows: tuple[str, Any]) -> Path:
    lines = [
        "path\tclips",
        *(f"{name}\t{clips if isinstance(clips, str) else json.dumps(clips)}" for name, clips in rows),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def clip(text: str, start: int = 0, end: int = 5) -> dict[str, str]:
    return {"clip": f"0:00:0{start} - 0:00:0{end}", "caption": text}


def test_a_video_is_found_by_its_id_or_by_its_files_name(tmp_path: Path, root: Storage) -> None:
    found = opened(tsv(tmp_path / "a.tsv", ("v1.webm", [clip("one")]), ("sub/v2.mp4", [clip("two")])), root)
    assert found.find("v1", "x", "") == [Span("one", 0, 5)]
    assert found.find("v2-01234567", "v2-01234567", "elsewhere/v2.mkv") == [Span("two", 0, 5)]
    assert found.find("v3", "v3", "v3.mp4") is None
    assert len(found.revision) == 16 and found.name == "a.tsv"


def test_rows_of_one_video_are_taken_together_in_order(tmp_path: Path, root: Storage) -> None:
    path = tsv(tmp_path / "a.tsv", ("v.mp4", [clip("late", 5, 9)]), ("w.mp4", [clip("w")]), ("v.mp4", [clip("early")]))
    assert [span.text for span in opened(path, root).find("v", "v", "") or ()] == ["early", "late"]


def test_videos_of_one_name_are_told_apart_by_their_folder_or_not_at_all(tmp_path: Path, root: Storage) -> None:
    found = opened(tsv(tmp_path / "a.tsv", ("a/v.mp4", [clip("a")]), ("b/v.mp4", [clip("b")])), root)
    assert found.find("v-1", "v-1", "b/v.mp4") == [Span("b", 0, 5)]
    with pytest.raises(StageError, match=r"a\.tsv has several videos named v \(a/v, b/v\)"):
        found.find("v", "v", "")


def test_the_index_is_made_once_and_kept_with_the_build(
    tmp_path: Path, root: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "caption.json"
    path.write_text(json.dumps({f"v{n}": {"start": [n], "end": [n + 1], "text": [f"t{n}"]} for n in range(300)}))
    opened(path, root).close()
    assert len(root.names("cache/annotations")) == 1

    def refuse(*_: Any) -> None:
        raise AssertionError("the file is scanned again")

    monkeypatch.setattr(files, "json_entries", refuse)
    again = opened(path, root)
    assert all(again.find(f"v{n}", "x", "") == [Span(f"t{n}", n, n + 1)] for n in range(300))
    monkeypatch.undo()
    kept = root.names("cache/annotations")[0]
    root.write(f"cache/annotations/{kept}", b"half an index")
    assert opened(path, root).find("v7", "x", "") == [Span("t7", 7, 8)]


def test_howto_interlink7m_as_it_is_hosted(tmp_path: Path, root: Storage) -> None:
    """Columns video, clips and a third, JSON quoted as pandas does, an index beside each clip."""
    clips = [{"clip": "0:00:00 - 0:00:05", "clip_id": "0", "caption": 'The video opens with a "how to".'},
             {"clip": "0:01:05 - 0:01:10", "clip_id": "2", "caption": "It shifts."}]  # fmt: skip
    quoted = json.dumps(clips).replace('"', '""')
    path = tmp_path / "Howto-Interlink7M_subset_w_all_clips_val.tsv"
    path.write_text(f'video\tclips\tsplit\nvideos_256/--728h8mnDY.mp4\t"{quoted}"\tval\n')
    assert opened(path, root).find("--728h8mnDY", "x", "") == [
        Span('The video opens with a "how to".', 0.0, 5.0), Span("It shifts.", 65.0, 70.0),
    ]  # fmt: skip


def test_another_content_has_another_revision_and_index(tmp_path: Path, root: Storage) -> None:
    path = tmp_path / "caption.json"
    path.write_text('{"v": {"start": [0], "end": [1], "text": ["old"]}}')
    old = opened(path, root)
    path.unlink()
    path.write_text('{"v": {"start": [0], "end": [1], "text": ["new"]}}')
    new = opened(path, root)
    assert [span.text for file in (old, new) for span in file.find("v", "v", "") or ()] == ["old", "new"]
    assert old.revision != new.revision


def test_damage_names_the_file_and_the_video_and_spares_the_others(tmp_path: Path, root: Storage) -> None:
    found = opened(tsv(tmp_path / "a.tsv", ("bad.mp4", "[{]"), ("good.mp4", [clip("fine")]), ("odd.mp4", [{}])), root)
    assert found.find("good", "good", "") == [Span("fine", 0, 5)]
    with pytest.raises(StageError, match=r"a\.tsv, video bad \(byte 11\): its clips are not JSON") as error:
        found.find("bad", "bad", "")
    assert error.value.error_class == "unreadable"
    with pytest.raises(StageError, match=r"a\.tsv, video odd: clip 0 has no times"):
        found.find("odd", "odd", "")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", "[1, 2]", "there is no object"),
        ("a.json", '{"v": {"start": [1', "does not end"),
        ("a.json", "", "it is empty"),
        ("a.tsv", "video\tcaption\nv\tx\n", "does not name the columns path and clips, but video, caption"),
        ("a.pickle", "x", "neither in .tsv nor in .json"),
    ],
)
def test_a_file_of_no_annotations_is_refused(tmp_path: Path, root: Storage, name: str, content: str, why: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=why) as error:
        opened(tmp_path / name, root)
    assert name in error.value.what and "annotations.clips.path" in error.value.do


def test_a_missing_file_is_a_mistake_of_the_recipe(tmp_path: Path, root: Storage) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.json"):
        opened(tmp_path / "none.json", root)


def test_a_look_up_does_not_depend_on_the_size_of_the_file(tmp_path: Path, root: Storage) -> None:
    many = {
        f"v{n:06d}": {"start": [0.5] * 20, "end": [1.5] * 20, "text": ["some words of it"] * 20} for n in range(5000)
    }
    path = tmp_path / "raw_caption.json"
    path.write_text(json.dumps(many))
    found = opened(path, root)
    began = time.process_time()
    for n in range(0, 5000, 50):
        assert len(found.find(f"v{n:06d}", "x", "") or ()) == 20
    parsing = time.process_time()
    json.loads(path.read_bytes())
    assert parsing - began < 100 * (time.process_time() - parsing) / 4  # parsing it for each would cost 100 times that


@pytest.mark.parametrize(("listed", "wanted"), [("v_abc", "abc"), ("abc", "v_abc"), ("v_abc", "v_abc")])
def test_ids_of_activitynet_meet_with_and_without_their_prefix(
    tmp_path: Path, root: Storage, listed: str, wanted: str
) -> None:
    path = tmp_path / "train.json"
    entries = {listed: {"duration": 9.0, "timestamps": [[0.0, 4.0]], "sentences": ["one"]}}
    path.write_text(json.dumps({**entries, "other": {"timestamps": [], "sentences": []}}))
    found = opened(path, root)
    assert found.find(wanted, "x", "") == found.find("x", "x", f"videos/{wanted}.mp4") == [Span("one", 0.0, 4.0)]


def test_an_exact_id_comes_before_its_other_form(tmp_path: Path, root: Storage) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({n: {"timestamps": [[0, 1]], "sentences": [n]} for n in ("v_abc", "abc")}))
    found = opened(path, root)
    assert [found.find(n, "x", "")[0].text for n in ("abc", "v_abc")] == ["abc", "v_abc"]  # type: ignore[index]
