"""Source rows: their order, the files they lie in, and generations of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlink.ids import keyed_digest, keyed_hash
from interlink.runtime import generations
from interlink.runtime.workspace import Workspace
from interlink.stage import Row
from interlink.storage import Storage
from interlink.tables import SCHEMAS


def rows(count: int) -> list[Row]:
    return [
        Row(f"v{n}", {"kind": "url", "uri": f"https://example.org/{n}", "title": f"title {n}"}) for n in range(count)
    ]


def test_rows_lie_in_files_of_whole_partitions_in_the_order_of_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "ROWS_PER_FILE", 7)  # partitions of 2 rows: 3 in a file
    monkeypatch.setattr(generations, "_BATCH", 5)
    space = Workspace(Storage(str(tmp_path)))
    assert space.append(rows(40), seed=3) == (40, 0)
    files = sorted(path.name for path in (tmp_path / "generations").glob("*.parquet"))
    assert files == ["000-00003.parquet", "000-00006.parquet", "000-00009.parquet", "000-00012.parquet",
                     "000-00015.parquet", "000-00018.parquet", "000.parquet"]  # fmt: skip
    assert json.loads((tmp_path / "generations" / "000.json").read_text())["per_file"] == 3
    again = Workspace(Storage(str(tmp_path)))
    wanted = sorted((f"v{n}" for n in range(40)), key=lambda key: (keyed_hash(3, key), key))
    names = [name for name, _ in again.partitions()]
    assert [key for name in names for key in again.source_rows(name)] == wanted
    assert [row["id"] for row in again.source_columns(["id"])] == wanted
    # In any order, and each row whole.
    assert list(again.source_rows("000-00019")) == wanted[38:]
    (first, second) = again.source_rows("000-00000").values()
    assert (first["id"], second["id"]) == tuple(wanted[:2])
    assert first["uri"] == f"https://example.org/{wanted[0][1:]}" and first["title"] == f"title {wanted[0][1:]}"
    assert again.source_table("000-00007").num_rows == 2


def test_a_file_that_a_killed_collect_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "ROWS_PER_FILE", 2)
    space = Workspace(Storage(str(tmp_path)))
    (tmp_path / "generations").mkdir()
    for name in ("000.parquet", "000-00001.parquet", "000-00099.parquet"):
        (tmp_path / "generations" / name).write_bytes(b"half a file")
    assert space.append(rows(3), seed=0) == (3, 0)
    assert sorted(key for name, _ in space.partitions() for key in space.source_rows(name)) == ["v0", "v1", "v2"]
    assert space.known_ids() == {"v0", "v1", "v2"}


def test_a_generation_of_an_earlier_version_is_read_and_continued(tmp_path: Path) -> None:
    folder = tmp_path / "generations"
    folder.mkdir()
    with pq.ParquetWriter(folder / "000.parquet", SCHEMAS["collect"]) as writer:
        for chunk in (rows(4)[:2], rows(4)[2:]):
            table = [{**row.columns(), **row.fields} for row in chunk]
            writer.write_table(pa.Table.from_pylist(table, schema=SCHEMAS["collect"]))
    partitions = [["000-00000", 2], ["000-00001", 2]]
    (folder / "000.json").write_text(json.dumps({"partitions": partitions, "duplicates": 1, "seed": 0}))
    space = Workspace(Storage(str(tmp_path)))
    assert [list(space.source_rows(name)) for name, _ in space.partitions()] == [["v0", "v1"], ["v2", "v3"]]
    assert space.source_rows("000-00001")["v3"]["title"] == "title 3"
    assert space.append(rows(5), seed=0) == (1, 4)
    assert list(space.source_rows("001-00000")) == ["v4"]
    assert space.known_ids() == {f"v{n}" for n in range(5)}


def test_a_source_without_anything_new_leaves_no_file(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    assert space.append([], seed=0) == (0, 0)
    assert space.storage.names("generations") == []


def test_the_digest_sorts_as_its_hexadecimal_form_does() -> None:
    ids = [f"v{n}" for n in range(100)]
    by_bytes, by_text = (sorted(ids, key=lambda key: kind(7, key)) for kind in (keyed_digest, keyed_hash))
    assert by_bytes == by_text
