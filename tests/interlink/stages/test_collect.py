"""A folder or a list becomes rows; nothing is lost, and nonsense is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlink.errors import UserError
from interlink.stage import Row
from interlink.stages.collect import SourceSettings, scan
from interlink.tables import COLLECT


def rows_of(path: Path, **settings: object) -> list[Row]:
    return list(scan(SourceSettings(path=str(path), **settings)))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# -- folders ----------------------------------------------------------------------------------------------------


def test_every_media_file_of_a_folder_is_an_item_broken_or_not(tmp_path: Path):
    for name in ("a.mp4", "b/c.MKV", "b/a.mp4", "zero.webm", "a.vtt", "notes.txt", "._a.mp4"):
        write(tmp_path / name, "" if name == "zero.webm" else "x")
    rows = rows_of(tmp_path)
    assert sorted(row.fields["path"] for row in rows) == ["a.mp4", "b/a.mp4", "b/c.MKV", "zero.webm"]
    assert len({row.id for row in rows}) == 4
    assert all(row.status == "ok" and row.fields["kind"] == "file" for row in rows)


def test_the_real_clips_are_26_items_with_the_columns_of_the_table(shared_data: Path):
    rows = rows_of(shared_data / "clips")
    assert len(rows) == 26
    assert all(set(row.fields) == {name for name, _ in COLLECT} for row in rows)
    assert {"not_a_video.mp4", "zero_bytes.mp4"} <= {row.fields["path"] for row in rows}


def test_the_same_files_in_another_place_have_the_same_ids(tmp_path: Path):
    for place in ("one", "two"):
        write(tmp_path / place / "b" / "cut 1.mp4", "x")
    (one,), (two,) = rows_of(tmp_path / "one"), rows_of(tmp_path / "two")
    assert one.id == two.id
    assert one.fields["uri"] != two.fields["uri"]


def test_what_is_looked_at_can_be_narrowed(tmp_path: Path):
    for name in ("a.mp4", "b/c.mp4", "b/d.mov", "raw/e.mp4"):
        write(tmp_path / name, "x")

    def paths(**settings: object) -> list[str]:
        return sorted(row.fields["path"] for row in rows_of(tmp_path, **settings))

    assert paths(recursive=False) == ["a.mp4"]
    assert paths(extensions=(".MOV",)) == ["b/d.mov"]
    assert paths(exclude=("raw/*",)) == ["a.mp4", "b/c.mp4", "b/d.mov"]
    assert paths(include=("b/*",)) == ["b/c.mp4", "b/d.mov"]


def test_links_that_leave_the_folder_are_refused_by_name_and_not_lost(tmp_path: Path):
    source = tmp_path / "source"
    write(source / "a.mp4", "x")
    write(tmp_path / "secret.mp4", "x")
    (source / "inside.mp4").symlink_to(source / "a.mp4")
    (source / "outside.mp4").symlink_to(tmp_path / "secret.mp4")
    (source / "folder").symlink_to(tmp_path)
    (source / "dangling.mp4").symlink_to(source / "absent.mp4")
    rows = rows_of(source)
    refused = {row.message.split(":")[0] for row in rows if row.status == "failed"}
    assert refused == {"outside.mp4", "folder"}
    assert {row.fields["path"] for row in rows if row.status == "ok"} == {"a.mp4", "inside.mp4", "dangling.mp4"}


def test_a_name_that_is_not_utf8_is_a_failed_row(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).write_bytes(b"x")
    (row,) = rows_of(tmp_path)
    assert (row.status, row.error_class) == ("failed", "unreadable")
    row.message.encode()


def test_one_media_file_is_a_source_of_one(tmp_path: Path):
    (row,) = rows_of(write(tmp_path / "cut.mp4", "x"))
    assert row.fields["path"] == "cut.mp4"


def test_what_is_no_file_is_a_failed_row_and_the_rest_is_found(tmp_path: Path):
    write(tmp_path / "a.mp4", "x")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "self.mp4").symlink_to("self.mp4")
    (tmp_path / "one.mp4").symlink_to("two.mp4")
    (tmp_path / "two.mp4").symlink_to("one.mp4")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "here").symlink_to(".")
    rows = rows_of(tmp_path)
    failed = {row.message.partition(": ")[0]: row.message for row in rows if row.status == "failed"}
    assert sorted(failed) == ["one.mp4", "pipe.mp4", "self.mp4", "two.mp4"]
    assert failed["pipe.mp4"].endswith("a named pipe, not a file")
    assert "leads back to itself" in failed["self.mp4"]
    assert [row.fields["path"] for row in rows if row.status == "ok"] == ["a.mp4"]


def test_a_source_that_is_a_pipe_is_said_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(UserError, match="not a regular file"):
        rows_of(tmp_path / "list.txt")


# -- lists ------------------------------------------------------------------------------------------------------


def test_a_text_list_takes_paths_urls_and_ids(tmp_path: Path):
    write(tmp_path / "clips" / "a.mp4", "x")
    entries = ["# comment", "clips/a.mp4", "", "https://youtu.be/nVbIUDjzWY4", "-7kyZVWVG0a", "http://h/v.mp4"]
    rows = rows_of(write(tmp_path / "list.txt", "\n".join(entries)), dataset="mine", licence="CC0")
    assert [(row.fields["kind"], row.fields["video_id"]) for row in rows[1:3]] == [
        ("url", "nVbIUDjzWY4"),
        ("url", "-7kyZVWVG0a"),
    ]
    assert rows[0].fields["uri"] == str(tmp_path / "clips" / "a.mp4")
    assert rows[0].fields["path"] == "clips/a.mp4"
    assert rows[2].fields["uri"] == "https://www.youtube.com/watch?v=-7kyZVWVG0a"
    assert not rows[2].id.startswith("-")
    assert rows[3].fields["uri"] == "http://h/v.mp4"
    assert {(row.fields["dataset"], row.fields["licence"]) for row in rows} == {("mine", "CC0")}


def test_the_id_list_and_the_url_list_of_the_same_videos_are_the_same_source(tmp_path: Path):
    ids = ["nVbIUDjzWY4", "_97kyZVWVG0", "-7kyZVWVG0a"]
    by_id = rows_of(write(tmp_path / "ids.txt", "\n".join(ids)))
    by_url = rows_of(write(tmp_path / "urls.txt", "\n".join(f"https://youtu.be/{i}?t=1" for i in ids)))
    assert by_id == by_url


def test_a_listed_file_has_the_id_it_has_in_the_folder(tmp_path: Path):
    write(tmp_path / "b" / "a.mp4", "x")
    (listed,) = rows_of(write(tmp_path / "list.txt", "./b/a.mp4"))
    (found,) = rows_of(tmp_path)
    assert listed == found


def test_a_file_outside_the_list_s_folder_brings_no_path_of_this_machine_into_documents(tmp_path: Path):
    write(tmp_path / "clips" / "a.mp4", "x")
    entries = f"../clips/a.mp4\n{tmp_path}/clips/a.mp4\nfile://{tmp_path}/clips/a.mp4"
    rows = rows_of(write(tmp_path / "lists" / "list.txt", entries), files_below=str(tmp_path / "clips"))
    assert {row.fields["path"] for row in rows} == {"a.mp4"}
    assert {row.fields["uri"] for row in rows} == {str(tmp_path / "clips" / "a.mp4")}


def test_a_list_names_files_outside_its_folder_only_below_a_folder_of_the_recipe(tmp_path: Path):
    write(tmp_path / "clips" / "a.mp4", "x")
    write(tmp_path / "secret" / "b.mp4", "x")
    (tmp_path / "clips" / "link.mp4").symlink_to(tmp_path / "secret" / "b.mp4")
    entries = "".join(
        f"{start}secret/b.mp4\n" for start in ("../", f"{tmp_path}/", f"file://{tmp_path}/", "../clips/../")
    )
    listing = write(tmp_path / "lists" / "list.txt", f"{entries}../clips/link.mp4\n~/x.mp4\n")

    for settings in ({}, {"files_below": str(tmp_path / "clips")}):
        rows = rows_of(listing, **settings)
        assert {(row.status, row.error_class) for row in rows} == {("failed", "unreadable")}
        assert all("source.files_below" in row.message for row in rows)
    inside = write(tmp_path / "lists" / "own.txt", f"{tmp_path}/lists/c.mp4\n./d/../c.mp4")
    assert {row.status for row in rows_of(inside)} == {"ok"}


def test_a_url_with_a_user_name_or_password_is_refused_and_not_shown(tmp_path: Path):
    rows = rows_of(write(tmp_path / "list.txt", "https://ann:s3cr3t@a.example/x.mp4\nhttps://a.example/y.mp4?token=1"))
    assert [row.status for row in rows] == ["failed", "ok"]
    assert "download.cookies" in rows[0].message
    assert "s3cr3t" not in f"{rows[0].id} {rows[0].message}" and "ann" not in rows[0].id


def test_a_missing_file_is_still_an_item(tmp_path: Path):
    (row,) = rows_of(write(tmp_path / "list.txt", "gone.mp4"))
    assert row.status == "ok"


def test_ids_of_another_site_take_its_template(tmp_path: Path):
    (row,) = rows_of(write(tmp_path / "list.txt", "76979871"), url_template="https://vimeo.com/{id}")
    assert (row.fields["uri"], row.id) == ("https://vimeo.com/76979871", "76979871")


def test_nonsense_in_a_list_is_a_failed_row_that_names_the_line(tmp_path: Path):
    rows = rows_of(write(tmp_path / "list.txt", "nVbIUDjzWY4\nwhat is this\nhttp://\n"))
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert rows[1].error_class == rows[2].error_class == "no_media"
    assert "line 2" in rows[1].message and "what is this" in rows[1].message
    assert "line 3" in rows[2].message


def test_a_line_that_is_not_utf8_is_a_failed_row(tmp_path: Path):
    (tmp_path / "list.txt").write_bytes(b"nVbIUDjzWY4\ncaf\xe9.mp4\n")
    rows = rows_of(tmp_path / "list.txt")
    assert [row.status for row in rows] == ["ok", "failed"]
    rows[1].message.encode()


def test_an_entry_named_twice_comes_twice_with_one_id(tmp_path: Path):
    rows = rows_of(write(tmp_path / "list.txt", "nVbIUDjzWY4\nhttps://youtu.be/nVbIUDjzWY4\n"))
    assert [row.id for row in rows] == ["nVbIUDjzWY4", "nVbIUDjzWY4"]


def test_howto100m_columns(shared_data: Path):
    rows = rows_of(shared_data / "metadata" / "howto100m_v1_sample.csv")
    assert [row.id for row in rows] == ["nVbIUDjzWY4", "CTPAZ2euJ2Q", "_97kyZVWVG0", "gkjnR3-ZVts"]
    assert rows[0].fields["category"] == "Cars & Other Vehicles"
    assert json.loads(rows[0].fields["metadata"]) == {"category_2": "Motorcycles", "rank": "27", "task_id": "52907"}


def test_howto100m_mirror_urls_have_the_ids_of_the_videos(shared_data: Path):
    rows = rows_of(shared_data / "metadata" / "howto100m_urls_sample.txt")
    assert len(rows) == 10
    assert rows[0].id == "NFsc2pCdBAI"


def test_video2dataset_columns(shared_data: Path):
    rows = rows_of(shared_data / "metadata" / "video2dataset_test_yt.csv")
    assert [row.id for row in rows] == ["jLX0D8qQUBM", "9Zn4pID_BJ0", "aBfjTAQ8qpM"]
    assert rows[1].fields["title"] == "Image Deduplication Testset"
    assert rows[1].fields["uri"] == "https://www.youtube.com/watch?v=9Zn4pID_BJ0"


def test_csv_jsonl_and_parquet_of_the_same_entries_give_the_same_rows(tmp_path: Path):
    entries = [
        {"video_id": "nVbIUDjzWY4", "title": "Stir, slowly", "lang": "en"},
        {"video_id": "-7kyZVWVG0a", "title": "Rühren", "lang": ""},
    ]
    write(tmp_path / "a.csv", 'video_id,title,lang\nnVbIUDjzWY4,"Stir, slowly",en\n-7kyZVWVG0a,Rühren,\n')
    write(tmp_path / "a.tsv", "\ufeffvideo_id\ttitle\tlang\nnVbIUDjzWY4\tStir, slowly\ten\n-7kyZVWVG0a\tRühren\t\n")
    write(tmp_path / "a.jsonl", "\n".join(json.dumps(entry) for entry in entries))
    pq.write_table(pa.Table.from_pylist(entries), tmp_path / "a.parquet")
    wanted = rows_of(tmp_path / "a.csv")
    assert wanted[0].fields["title"] == "Stir, slowly"
    for name in ("a.tsv", "a.jsonl", "a.parquet"):
        assert rows_of(tmp_path / name) == wanted


def test_bad_lines_of_tables_are_failed_rows(tmp_path: Path):
    rows = rows_of(write(tmp_path / "a.csv", "video_id,title\nnVbIUDjzWY4,ok\nnVbIUDjzWY5,too,many\n,no id\n"))
    assert [row.status for row in rows] == ["ok", "failed", "failed"]
    assert "line 3" in rows[1].message and "line 4" in rows[2].message
    lines = ['{"video_id": "nVbIUDjzWY4"}', "{broken", "[1]", '{"title": "x"}', '{"video_id": "\\ud800"}']
    rows = rows_of(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert [row.status for row in rows] == ["ok", "failed", "failed", "failed", "failed"]
    assert len({row.id for row in rows}) == 5


def test_columns_can_be_named(tmp_path: Path):
    path = write(tmp_path / "a.csv", "clip,was,genre\nnVbIUDjzWY4,x,cooking\n")
    (row,) = rows_of(path, id_column="clip", category_column="genre")
    assert (row.id, row.fields["category"]) == ("nVbIUDjzWY4", "cooking")


# -- mistakes ---------------------------------------------------------------------------------------------------


def test_a_missing_source_is_told_before_anything_runs(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        scan(SourceSettings(path=str(tmp_path / "absent")))
    assert "absent" in caught.value.what and "source.path" in caught.value.do
    with pytest.raises(UserError):
        scan(SourceSettings())


@pytest.mark.parametrize("name", ["folder", "list.txt", "list.csv", "list.jsonl"])
def test_an_empty_source_is_told(tmp_path: Path, name: str):
    (tmp_path / "folder").mkdir()
    if name != "folder":
        write(tmp_path / name, "# nothing\n" if name == "list.txt" else "")
    with pytest.raises(UserError, match="nothing to build"):
        rows_of(tmp_path / name)


@pytest.mark.parametrize("name", ["list.txt", "list.parquet", "list.pdf"])
def test_an_unreadable_list_is_told_before_anything_runs(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"\0\1\2" * 100)
    with pytest.raises(UserError) as caught:
        scan(SourceSettings(path=str(tmp_path / name)))
    assert name in caught.value.what and caught.value.do


def test_a_table_without_a_useful_column_names_those_it_has(tmp_path: Path):
    path = write(tmp_path / "a.csv", "clip,genre\nx,y\n")
    with pytest.raises(UserError, match="clip, genre"):
        scan(SourceSettings(path=str(path)))
    with pytest.raises(UserError) as caught:
        scan(SourceSettings(path=str(path), id_column="clipp"))
    assert "'clip'" in caught.value.do
