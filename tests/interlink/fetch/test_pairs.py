"""Lists of pairs as they are published: a row each, its texts kept, nothing outside the folder of pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlink.errors import UserError
from interlink.stage import Row
from interlink.stages.collect import SourceSettings, scan


def rows_of(path: Path, **settings: Any) -> list[Row]:
    return list(scan(SourceSettings(path=str(path), kind="pairs", **settings)))


def told(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row.fields["metadata"])
    return found


def test_cc3m_names_no_columns_and_quotes_nothing(tmp_path: Path) -> None:
    (tmp_path / "Train_GCC.tsv").write_text('a "red" thing\thttp://x/1.jpg\n"open\thttp://x/2.jpg\n')
    first, second = rows_of(tmp_path / "Train_GCC.tsv", header=("caption", "url"), dataset="cc3m", licence="see cc3m")
    assert (first.fields["kind"], first.fields["uri"], told(first)) == (
        "pair", "http://x/1.jpg", {"caption": 'a "red" thing'},
    )  # fmt: skip
    assert told(second) == {"caption": '"open'}
    assert first.fields["dataset"] == "cc3m" and first.fields["licence"] == "see cc3m"
    assert first.id.startswith("1-") and first.id != second.id


def test_laion_and_datacomp_are_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"URL": ["http://x/a"], "TEXT": ["words"], "LICENSE": ["cc"]}), tmp_path / "laion.parquet")
    (row,) = rows_of(tmp_path / "laion.parquet")
    assert (row.fields["uri"], row.fields["licence"], told(row)) == ("http://x/a", "cc", {"TEXT": "words"})
    table = pa.table({"uid": ["u1"], "url": ["http://x/a"], "text": ["w"], "sha256": ["00"], "clip_l14": [0.3]})
    pq.write_table(table, tmp_path / "datacomp.parquet")
    (row,) = rows_of(tmp_path / "datacomp.parquet")
    assert row.id == "u1" and told(row)["sha256"] == "00"


def test_sbu_is_an_object_of_lists_and_recaptions_may_be_lists_of_objects(tmp_path: Path) -> None:
    sbu = {"image_urls": ["http://x/1", "http://x/2"], "captions": ["one", "two"], "user_ids": ["a", "b"]}
    (tmp_path / "sbu.json").write_text(json.dumps(sbu))
    assert [(row.fields["uri"], told(row)["captions"]) for row in rows_of(tmp_path / "sbu.json")] == [
        ("http://x/1", "one"), ("http://x/2", "two"),
    ]  # fmt: skip
    recaptions = [{"url": "http://x/1", "raw_caption": "r", "shortIB_captions": ["s", "t"]}, 7]
    (tmp_path / "dreamlip.json").write_text(json.dumps(recaptions))
    good, bad = rows_of(tmp_path / "dreamlip.json")
    assert told(good) == {"raw_caption": "r", "shortIB_captions": ["s", "t"]}
    assert (bad.status, bad.error_class) == ("failed", "no_media")
    (tmp_path / "odd.json").write_text('{"a": [1], "b": [1, 2]}')
    with pytest.raises(UserError, match="differ in length"):
        rows_of(tmp_path / "odd.json")


def test_dreamlips_image_path_is_a_url_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("Image Path,raw_caption\nhttp://x/1,a\ncc3m/0/1.jpg,b\n")
    first, second = rows_of(tmp_path / "d.csv", images_path=str(tmp_path / "pictures"))
    assert first.fields["uri"] == "http://x/1" and first.fields["path"] == ""
    assert second.fields["uri"] == str(tmp_path / "pictures/cc3m/0/1.jpg")
    assert second.fields["path"] == "cc3m/0/1.jpg"
    row = {"ImagePath": "cc3m/0/1.jpg", "raw_caption": "a", "shortIB_captions": "b. c."}  # its JSON, one a picture
    (tmp_path / "d.jsonl").write_text(json.dumps(row) + "\n")
    (third,) = rows_of(tmp_path / "d.jsonl", images_path=str(tmp_path / "pictures"))
    assert third.fields["path"] == "cc3m/0/1.jpg"
    assert told(third) == {"raw_caption": "a", "shortIB_captions": "b. c."}


@pytest.mark.parametrize("entry", ["file:///etc/passwd", "ftp://x/1", "../out.jpg", "/etc/passwd", "", "a\tb.jpg"])
def test_what_is_no_picture_of_the_list_is_a_failed_row(tmp_path: Path, entry: str) -> None:
    (tmp_path / "l.jsonl").write_text(
        json.dumps({"url": entry, "text": "t"}) + '\n{"url": "http://x/1", "text": "t"}\n'
    )
    bad, good = rows_of(tmp_path / "l.jsonl")
    assert (bad.status, bad.error_class, good.status) == ("failed", "no_media", "ok")
    assert bad.message.startswith("line 1: ")


def test_a_list_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("a red thing,http://x/1\nb,c\n")
    with pytest.raises(UserError, match="no column with URLs or paths of pictures") as error:
        rows_of(tmp_path / "l.csv")
    assert "source.header" in error.value.do
    (tmp_path / "l.txt").write_text("http://x/1\n")
    with pytest.raises(UserError, match="has no columns"):
        rows_of(tmp_path / "l.txt")
