"""Lists as people and table tools write them: read, or the line says what is wrong; nothing is lost unsaid."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlink.errors import UserError
from interlink.fetch.counts import SourceCounts, described
from interlink.stage import Row
from interlink.stages.collect import SourceSettings, scan

ENTRIES = "path,title\nclips/a.mp4,one\nclips/b.mp4,two\n"


def rows_of(path: Path, data: bytes | str, counts: SourceCounts | None = None, **settings: Any) -> list[Row]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(scan(SourceSettings(path=str(path), **settings), counts))


def titles(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.fields["path"], row.fields["title"]) for row in rows]


BOTH = [("clips/a.mp4", "one"), ("clips/b.mp4", "two")]


@pytest.mark.parametrize(
    "data",
    [
        ENTRIES,
        "\ufeff" + ENTRIES,
        ENTRIES.replace("\n", "\r"),
        ENTRIES.replace("\n", "\r\n"),
        ENTRIES.replace(",", ";"),
        ENTRIES.replace(",", "\t"),
        "sep=;\n" + ENTRIES.replace(",", ";"),
        ENTRIES.replace("path,title", " Path , TITLE "),
        ENTRIES.replace("\n", ",\n"),
        ENTRIES.replace("path,title\n", "\n\npath,title\n"),
        ENTRIES.encode("utf-16"),
        ENTRIES.encode("utf-16-le"),
        ENTRIES.encode("utf-32"),
    ],
    ids=["plain", "bom", "cr", "crlf", "semicolon", "tab", "sep", "header", "trailing", "blank", "16", "16le", "32"],
)
def test_a_csv_is_read_as_it_comes(tmp_path: Path, data: bytes | str) -> None:
    assert titles(rows_of(tmp_path / "l.csv", data)) == BOTH


def test_json_lines_are_read_under_every_name(tmp_path: Path) -> None:
    lines = [{"path": path, "title": title} for path, title in BOTH]
    text = "\ufeff" + "\r\n".join(map(json.dumps, lines))
    assert titles(rows_of(tmp_path / "a.jsonl", text)) == BOTH
    assert titles(rows_of(tmp_path / "a.json", text)) == BOTH
    assert titles(rows_of(tmp_path / "b.jsonl", json.dumps(lines, indent=1))) == BOTH


def test_a_missing_title_is_none_and_a_missing_path_is_a_failed_row(tmp_path: Path) -> None:
    text = '{"path": "a.mp4", "title": NaN}\n{"path": NaN, "title": "t"}\n{"path": "b.mp4", "title": "None"}\n'
    first, second, third = rows_of(tmp_path / "l.jsonl", text)
    assert (first.fields["title"], second.status, third.fields["title"]) == ("", "failed", "")
    assert second.message.startswith("line 2: no id, URL or path")
    (row, other) = rows_of(tmp_path / "l.csv", "path,title\na.mp4,nan\nnan,x\n")
    assert row.fields["title"] == "" and other.status == "failed"


@pytest.mark.parametrize(
    "entry",
    [
        "youtu.be/AAAAAAAAAA3",
        "//www.youtube.com/embed/AAAAAAAAAA3",
        "www.youtube.com/watch?v=AAAAAAAAAA3",
        "m.youtube.com/watch?v=AAAAAAAAAA3",
        "https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3DAAAAAAAAAA3",
        "https://www.youtube.com/watch?t=3s&amp;v=AAAAAAAAAA3",
        "<https://youtu.be/AAAAAAAAAA3>",
        '"https://youtu.be/AAAAAAAAAA3"',
        " https://youtu.be/AAAAAAAAAA3 ",
        "AAAAAAAAAA3",
    ],
)
def test_an_address_is_an_address_however_it_is_written(tmp_path: Path, entry: str) -> None:
    (row,) = rows_of(tmp_path / "l.txt", entry)
    assert (row.id, row.fields["uri"]) == ("AAAAAAAAAA3", "https://www.youtube.com/watch?v=AAAAAAAAAA3")


def test_a_host_without_a_scheme_is_no_folder_unless_there_is_one(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "l.txt", "media.example.org/v.mp4")
    assert row.fields["uri"] == "https://media.example.org/v.mp4"
    (tmp_path / "media.example.org").mkdir()
    (row,) = rows_of(tmp_path / "l.txt", "media.example.org/v.mp4")
    assert row.fields["kind"] == "file"
    (row,) = rows_of(tmp_path / "l.txt", "clips.v1/a.mp4")
    assert row.fields["kind"] == "file"


def test_a_name_may_begin_with_a_hash_and_comments_are_counted(tmp_path: Path) -> None:
    counts = SourceCounts()
    (tmp_path / "a.mp4").write_bytes(b"x")
    text = "# a list\na.mp4\n#3 way knots.mp4\n#a.mp4\n#https://youtu.be/AAAAAAAAAA3\n"
    rows = rows_of(tmp_path / "l.txt", text, counts)
    assert [row.fields["path"] for row in rows] == ["a.mp4", "#3 way knots.mp4"]
    assert (counts.comments, counts.examples["comments"]) == (3, "line 1: # a list")


@pytest.mark.parametrize("entry", ["~nobody-of-this-name/a.mp4", "x" * 5000, "a\0b", "/" + "y" * 300 + "/z.mp4"])
def test_no_entry_ends_a_build(tmp_path: Path, entry: str) -> None:
    rows = (
        rows_of(tmp_path / "l.csv", f"path\n{entry}\nok.mp4\n")
        if "\0" not in entry
        else rows_of(tmp_path / "l.jsonl", json.dumps({"path": entry}) + '\n{"path": "ok.mp4"}')
    )
    assert rows[-1].fields["path"] == "ok.mp4"


def test_a_guessed_encoding_is_a_doubt_of_texts_and_fails_names(tmp_path: Path) -> None:
    counts = SourceCounts()
    data = "path,title\na.mp4,plain\nb.mp4,Crème brûlée à la carte\ncafé.mp4,c\n".encode("cp1252")
    plain, doubtful, named = rows_of(tmp_path / "l.csv", data, counts)
    assert not plain.partial
    assert doubtful.fields["title"] == "Crème brûlée à la carte"
    assert doubtful.partial and "line 3" in doubtful.message and "encoding" in doubtful.message
    assert named.status == "failed" and "not UTF-8" in named.message
    assert (counts.items, counts.uncertain, counts.unreadable) == (2, 1, 1)


def test_letters_far_behind_the_beginning_are_utf8(tmp_path: Path) -> None:
    text = "path,title\n" + "".join(f"{number}.mp4,plain\n" for number in range(9000)) + "last.mp4,Rühren\n"
    rows = rows_of(tmp_path / "l.csv", text)
    assert rows[-1].fields["title"] == "Rühren" and not any(row.partial for row in rows)
    (row,) = rows_of(tmp_path / "one.csv", f'path,title\n"{"x" * 70_000}ü.mp4",ü\n')  # the block is cut in a letter
    assert not row.partial


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x1f\x8b\x08\0", "compressed with gzip"), (b"PK\x03\x04", "a zip file"), (b"\0\1\2", "not text"),
        (b"PAR1\0\0", "Parquet"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_said(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(UserError, match=what):
        rows_of(tmp_path / "l.csv", data * 100)


def test_a_cell_of_any_size_is_read_and_a_bad_line_is_one_failed_row(tmp_path: Path) -> None:
    text = f'path,title\na.mp4,"{"word " * 40_000}"\nb.mp4,two, more\nc.mp4,three\n'
    first, bad, last = rows_of(tmp_path / "l.csv", text)
    assert len(first.fields["title"]) > 190_000 and last.fields["title"] == "three"
    assert bad.message == "line 3: 3 cells where the header has 2"


def test_a_list_of_categories_is_one_text_and_an_odd_title_a_doubt(tmp_path: Path) -> None:
    lines = [
        {"path": "a.mp4", "category": ["cooking", None, "baking"], "title": "t"},
        {"path": "b.mp4", "category": 4.0, "title": {"en": "t"}},
    ]
    first, second = rows_of(tmp_path / "l.jsonl", "\n".join(map(json.dumps, lines)))
    assert first.fields["category"] == "cooking, baking" and not first.partial
    assert (second.fields["category"], second.fields["title"]) == ("4", "")
    assert second.partial and second.message == "line 2: title is a dict, not a text"


def test_quotation_marks_around_a_path_are_no_part_of_it(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "l.txt", '"clips/my video.mp4"')
    assert row.fields["path"] == "clips/my video.mp4"


# -- pairs ------------------------------------------------------------------------------------------------------


def pairs(tmp_path: Path, table: dict[str, list[Any]], counts: SourceCounts | None = None) -> list[Row]:
    pq.write_table(pa.table(table), tmp_path / "pairs.parquet")
    return list(scan(SourceSettings(path=str(tmp_path / "pairs.parquet"), kind="pairs"), counts))


def test_captions_of_one_picture_are_one_item_with_all_of_them(tmp_path: Path) -> None:
    counts = SourceCounts()
    table = {"path": ["a.jpg"] * 3 + ["b.jpg"], "TEXT": ["one", "two", "one", "three"], "width": [5, 5, 5, 6]}
    first, second = pairs(tmp_path, table, counts)
    assert json.loads(first.fields["metadata"]) == {"TEXT": ["one", "two"], "width": 5}
    assert json.loads(second.fields["metadata"]) == {"TEXT": "three", "width": 6}
    assert (counts.entries, counts.items, counts.joined) == (4, 2, 2)
    assert described(counts.json()).startswith("source: 4 entries -> 2 items, 2 joined")


def test_whole_floats_are_ids_and_nan_is_none(tmp_path: Path) -> None:
    rows = pairs(
        tmp_path, {"path": ["a.jpg", "b.jpg", "c.jpg"], "id": [1.0, math.nan, math.nan], "TEXT": ["x", "y", "z"]}
    )
    assert rows[0].id == "1"
    assert len({row.id for row in rows}) == 3 and rows[1].id.startswith("b-") and rows[2].id.startswith("c-")


def test_one_id_of_two_pictures_is_a_failed_row(tmp_path: Path) -> None:
    first, second = pairs(tmp_path, {"path": ["a.jpg", "b.jpg"], "id": ["x", "x"], "TEXT": ["x", "y"]})
    assert first.status == "ok"
    assert second.status == "failed" and "'x' is that of another picture" in second.message


def test_unpaired_quotation_marks_swallow_no_row(tmp_path: Path) -> None:
    captions = ["plain", '"Big Buck" poster', "three", '"unfinished', "five", 'he said "stop" loudly', "seven"]
    text = "path\tcaption\n" + "".join(f"{number}.jpg\t{caption}\n" for number, caption in enumerate(captions))
    rows = rows_of(tmp_path / "l.tsv", text, kind="pairs")
    assert [json.loads(row.fields["metadata"])["caption"] for row in rows] == captions


def test_what_is_no_text_in_the_column_of_a_picture_is_a_failed_row(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"path": {"a": 1}, "text": "t"}\n{"path": ["a.jpg"], "text": "t"}\n')
    bad, good = scan(SourceSettings(path=str(tmp_path / "l.jsonl"), kind="pairs"))
    assert bad.message == "line 1: path is a dict, not a text"
    assert good.fields["path"] == "a.jpg"


def test_repeats_are_counted_with_an_example(tmp_path: Path) -> None:
    counts = SourceCounts()
    rows_of(tmp_path / "l.txt", "a.mp4\na.mp4\nb.mp4\nwhat is this\n", counts)
    assert (counts.entries, counts.items, counts.repeats, counts.unreadable) == (4, 2, 1, 1)
    assert counts.examples["repeats"] == "a.mp4"
    assert counts.json()["examples"]["unreadable"].startswith("line 4")
