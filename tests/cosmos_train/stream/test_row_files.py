"""One file of rows: its samples' keys and sizes, what of a row becomes a member, and how often a group is read."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosmos_train.errors import UserError
from cosmos_train.stream.rows import Rows
from interlink.storage import Storage


def opened(path: Path) -> Rows:
    return Rows(Storage(str(path.parent)), path.name)


def keys(rows: Rows) -> list[str]:
    return rows.columns.keys.to_pylist()  # type: ignore[no-any-return]


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as file:
        return {one.name: file.extractfile(one).read() for one in file}  # type: ignore[union-attr]


def record(rows: Rows, number: int) -> dict[str, Any]:
    return json.loads(members(rows.sample(number))[f"row-{number:09d}.json"])  # type: ignore[no-any-return]


def sizes(rows: Rows) -> list[int]:
    return rows.columns.size.tolist()


LINES = b'{"a": 1}\n\n  \n{"a": "\xc3\xa9"}\r\n{"a": 3}'


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson"])
def test_lines_with_something_in_them_are_samples(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(LINES)
    rows = opened(path)
    assert keys(rows) == [f"x{suffix}#{n}" for n in range(3)]
    assert sizes(rows) == [9, 13, 8]
    assert [record(rows, n)["a"] for n in (2, 0, 1)] == [3, 1, "é"]
    again = pickle.loads(pickle.dumps(rows))
    assert record(again, 2) == {"a": 3}
    path.write_bytes(LINES[:-3])
    with pytest.raises(EOFError, match=r"8 bytes wanted at 26, 5 there"):
        pickle.loads(pickle.dumps(rows)).sample(2)


def test_a_record_must_be_an_object(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("[1]\n{}\n")
    rows = opened(tmp_path / "x.jsonl")
    with pytest.raises(ValueError, match="a list, not an object"):
        rows.sample(0)
    assert record(rows, 1) == {}


def test_a_zip_has_the_lines_of_all_its_files_in_order(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.jsonl.zip", "w") as archive:
        archive.writestr("b.jsonl", '{"n": 2}\n{"n": 3}')
        archive.writestr("a.ndjson", '{"n": 1}\n\n\n')
        archive.writestr("notes.txt", "no line")
    rows = opened(tmp_path / "x.jsonl.zip")
    assert [record(rows, n)["n"] for n in range(3)] == [1, 2, 3]
    assert len(keys(rows)) == 3


PNG, WEBP, JPEG = b"\x89PNG rest", b"RIFF rest", b"\xff\xd8 rest"


def test_pictures_are_members_and_other_bytes_are_left_out(tmp_path: Path) -> None:
    row = {
        "images": [{"bytes": PNG, "path": "p"}, None, {"bytes": WEBP, "path": None}, {"bytes": None, "path": "q"}],
        "raw": [JPEG], "texts": [None, "t"], "blob": b"left out", "n": 5,
    }  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    found = members(opened(tmp_path / "x.parquet").sample(0))
    about = json.loads(found.pop("row-000000000.json"))
    assert about == {
        "images": ["i0000.png", None, "i0001.webp", {"bytes": None, "path": "q"}],
        "raw": ["i0002.jpg"], "texts": [None, "t"], "n": 5,
    }  # fmt: skip
    assert found == {
        f"row-000000000.{name}": data for name, data in (("i0000.png", PNG), ("i0001.webp", WEBP), ("i0002.jpg", JPEG))
    }


def test_the_last_four_groups_are_kept(tmp_path: Path) -> None:
    table = pa.table({"n": list(range(12)), "files": [[{"bytes": b"video"}]] * 12})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    rows = opened(tmp_path / "x.parquet")
    assert [record(rows, n) for n in (0, 1, 2, 11)] == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 11}]  # without `files`
    kept = rows._read._groups  # type: ignore[union-attr]
    for number, groups in ((0, [1, 5, 0]), (4, [1, 5, 0, 2]), (3, [5, 0, 2, 1]), (6, [0, 2, 1, 3]), (9, [2, 1, 3, 4])):
        assert record(rows, number) == {"n": number}
        assert list(kept) == groups
    whole = pq.ParquetFile(tmp_path / "x.parquet").metadata
    total = sum(whole.row_group(group).total_byte_size for group in range(6))
    assert sizes(rows) == [total // 12] * 12
    assert keys(rows)[:2] == ["x.parquet#0", "x.parquet#1"]
    assert record(pickle.loads(pickle.dumps(rows)), 7) == {"n": 7}


def test_an_empty_file_has_no_samples_and_an_absent_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\n\n")
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "y.parquet")
    assert keys(opened(tmp_path / "x.jsonl")) == keys(opened(tmp_path / "y.parquet")) == []
    with pytest.raises(UserError, match="there is no shard"):
        opened(tmp_path / "z.parquet")
    (tmp_path / "bad.jsonl.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be read"):
        opened(tmp_path / "bad.jsonl.zip")
