"""What a partition gives back: all of a row or the columns that are wanted; and one table whatever way rows came."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import toy_stages
from disk import Disk, Fault, unsafe
from interlink.runtime.partition import Partition
from interlink.stage import Blob, Context, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.stages.shard import Shard, ShardSettings
from interlink.storage import Storage
from interlink.tables import BLOB, COMMON, SCHEMAS
from telling import FINGERPRINTS

FRAME = pa.struct([("time", pa.float64()), ("size", pa.int32())])
CLIP = pa.struct([("start", pa.float64()), ("frames", pa.list_(FRAME))])
SCHEMA = pa.schema([*COMMON, ("n", pa.int32()), ("clips", pa.list_(CLIP))])


def row(key: str, n: int) -> Row:
    frames = [{"time": n + 0.5, "size": n}, {"time": n + 0.75}]
    return Row(key, {"n": n, "clips": [{"start": float(n), "frames": frames}]})


def partition(folder: Path) -> Partition:
    return Partition(Storage(str(folder)), "p", SCHEMA)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "p").iterdir()}


def test_columns_that_are_wanted_come_alone_with_the_id(tmp_path: Path) -> None:
    made = partition(tmp_path)
    made.compact(["a"], {}, lambda rows: {}, [(row("a", 3), 1, 0.0)])
    assert made.rows(["n"]) == {"a": {"id": "a", "n": 3}}
    assert made.rows(["clips.start"]) == {"a": {"id": "a", "clips": [{"start": 3.0}]}}
    assert made.rows(["status", "clips.frames.time"]) == {
        "a": {"id": "a", "status": "ok", "clips": [{"frames": [{"time": 3.5}, {"time": 3.75}]}]}
    }
    with pytest.raises(KeyError, match="strat"):
        made.rows(["clips.strat"])


def test_rows_that_were_in_no_part_give_the_same_table(tmp_path: Path) -> None:
    # given the same rows, once in two parts, once in one with the rest, once in none; "a" was made twice
    ways: list[list[list[tuple[Row, int, float]]]] = [
        [[(row("a", 1), 1, 0.5), (row("b", 2), 1, 0.5)], [(row("a", 3), 2, 0.5)], []],
        [[(row("a", 1), 1, 0.5)], [], [(row("b", 2), 1, 0.5), (row("a", 3), 2, 0.5)]],
        [[], [], [(row("a", 1), 1, 0.5), (row("b", 2), 1, 0.5), (row("a", 3), 2, 0.5)]],
    ]
    seen: list[dict[str, bytes]] = []
    for number, (*parts, rest) in enumerate(ways):
        made = partition(tmp_path / str(number))
        for part in filter(None, parts):
            made.write_part(1, part)
        told: list[Any] = []
        made.compact(["b", "a"], {}, lambda rows, told=told: told.extend(rows) or {}, rest)  # type: ignore[misc]
        assert [(one["id"], one["n"], one["clips"][0]["frames"][1]["size"]) for one in told] == [
            ("b", 2, None),
            ("a", 3, None),
        ]
        seen.append(files(tmp_path / str(number)))
    assert len(seen[0]) == 3  # the table, its summary, its ledger
    assert seen[0] == seen[1] == seen[2]


def test_stages_ask_for_columns_that_their_tables_have(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    context = Context(storage, fingerprints=FINGERPRINTS)
    asked = 0
    for stage in (
        Interleave(InterleaveSettings(), context),
        Shard(ShardSettings(), context),
        Shard(ShardSettings(clip_files=True), context),
    ):
        for table, columns in stage.columns().items():
            made = Partition(storage, table, SCHEMAS[table])
            made.compact([], {}, lambda rows: {})
            assert made.rows(columns) == {}  # KeyError for one that is not there
            asked += len(columns)
    assert asked > 20


def toys(folder: Path) -> Partition:
    return Partition(Storage(str(folder)), "p", toy_stages.Toy.schema)


def toy(key: str, *data: bytes | None, value: int = 0) -> Row:
    blobs = [{"k": k, "data": None if one is None else Blob(one, ".txt")} for k, one in enumerate(data)]
    return Row(key, {"value": value, "things": blobs})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "p").iterdir())


def bytes_of(folder: Path, reference: dict[str, Any]) -> bytes:
    data = (folder / "p" / reference["blob"]).read_bytes()[reference["offset"] :][: reference["size"]]
    assert hashlib.sha256(data).hexdigest() == reference["sha256"]
    return data


def test_blobs_are_put_before_the_part_that_names_them(tmp_path: Path) -> None:
    made = toys(tmp_path)
    with Disk(tmp_path) as disk:
        made.write_part(3, [(toy("a", b"one"), 1, 0.0)])
    assert [operation.target for operation in disk.operations if operation.kind == "rename"] == [
        "p/part-000003-000000.tar",
        "p/part-000003-000000.parquet",
    ]
    assert unsafe(disk.operations) == []


def test_a_compaction_puts_each_file_whole_and_the_summary_last(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a", b"one"), 1, 0.0)])
    with Disk(tmp_path) as disk:
        made.compact(["a"], {}, lambda rows: {})
    names = [Path(operation.target).name for operation in disk.operations if operation.kind == "rename"]
    assert [name.partition("-")[0] for name in names] == ["blobs", "rows", "ledger.json", "summary.json"]
    assert unsafe(disk.operations) == []


def test_a_reference_to_nothing_stays_one(tmp_path: Path) -> None:
    made = toys(tmp_path)
    nothing = {"blob": None, "offset": None, "size": None, "sha256": None}
    row = Row("a", {"things": [{"k": 0, "data": nothing}, {"k": 1, "data": Blob(b"one", ".txt")}]})
    made.write_part(1, [(row, 1, 0.0)])
    made.compact(["a"], {}, lambda rows: {})
    first, second = made.rows()["a"]["things"]
    assert first["data"] == nothing
    assert bytes_of(tmp_path, second["data"]) == b"one"


def test_tables_are_compressed_and_ledgers_sorted(tmp_path: Path) -> None:
    """Other bytes for the same rows would be another table."""
    made = partition(tmp_path)
    summary = made.compact(["b", "a"], {}, lambda rows: {}, [(row("a", 1), 1, 0.0), (row("b", 1), 1, 0.0)])
    column = pq.ParquetFile(tmp_path / "p" / summary.rows).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert column.has_dictionary_page
    assert (tmp_path / "p" / "ledger.json").read_text() == '{"a": [1, 0.0], "b": [1, 0.0]}'


def test_a_part_keeps_rows_blobs_and_what_they_cost(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(3, [(toy("a", b"one", None, b"x" * 512), 2, 0.25), (toy("b", b""), 1, 0.5), (toy("c"), 1, 0.0)])
    made.write_part(3, [(toy("d"), 1, 0.0)])
    assert names(tmp_path) == ["part-000003-000000.parquet", "part-000003-000000.tar", "part-000003-000001.parquet"]
    with tarfile.open(tmp_path / "p" / "part-000003-000000.tar") as tar:  # any tar reader reads it
        assert [(one.name, one.size) for one in tar] == [
            ("a/000000.txt", 3),
            ("a/000001.txt", 512),
            ("b/000000.txt", 0),
        ]
    data = (tmp_path / "p" / "part-000003-000000.tar").read_bytes()
    assert data.endswith(b"\0" * 1024) and len(data) == 2 * 1024 + 512 + 1024
    state = made.load()
    assert (state.summary, state.parts, state.claims) == (None, ["part-000003-000000", "part-000003-000001"], [])
    entry = state.entries["a"]
    assert (entry.attempts, entry.seconds, entry.final) == (2, 0.25, True)
    assert entry.row.keys() == set(toy_stages.Toy.schema.names)
    assert bytes_of(tmp_path, entry.row["things"][0]["data"]) == b"one"
    assert entry.row["things"][1]["data"] is None
    assert bytes_of(tmp_path, entry.row["things"][2]["data"]) == b"x" * 512
    assert bytes_of(tmp_path, state.entries["b"].row["things"][0]["data"]) == b""


def test_a_part_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    made = toys(tmp_path)
    for at in (1, 2):  # the scratch folder is there, then its file; the bytes
        with Disk(tmp_path, Fault(at, "ENOSPC")), pytest.raises(OSError, match="No space"):
            made.write_part(1, [(toy("a", b"one"), 1, 0.0)])
    with pytest.raises(AssertionError, match=r"columns that the table does not have: \['colour'\]"):
        made.write_part(1, [(toy("a", b"one"), 1, 0.0), (Row("b", {"colour": 1}), 1, 0.0)])
    assert os.listdir(tmp_path / ".scratch") == []  # noqa: PTH208, names that storage does not list too
    assert made.load().entries == {}


def test_rows_of_a_part_are_final_when_they_are_said_to_be(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a"), 1, 0.0), (toy("b"), 2, 0.0), (Row("c", status="open"), 0, 0.0)])
    assert {key: one.final for key, one in made.load().entries.items()} == {"a": True, "b": True, "c": False}
    judged = made.load(lambda row, attempts: row["status"] == "open" or attempts > 1).entries
    assert {key: one.final for key, one in judged.items()} == {"a": False, "b": True, "c": False}


def test_compacted_blobs_are_those_that_rows_refer_to(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a", b"old"), 1, 0.0), (toy("b", b"two", None), 1, 0.5)])
    made.write_part(1, [(toy("a", b"new", b"er"), 2, 0.123456), (toy("gone", b"no more"), 1, 0.0)])
    (tmp_path / "p" / "claim-000001-1-x.json").write_text("{}")
    assert made.load().claims == ["claim-000001-1-x.json"]
    summary = made.compact(["b", "a"], {"collect": 2}, lambda rows: {"rows": len(rows)})
    assert names(tmp_path) == sorted([summary.blobs, summary.rows, "ledger.json", "summary.json"])
    tar = (tmp_path / "p" / summary.blobs).read_bytes()
    assert tar.endswith(b"\0" * 1024) and len(tar) == 3 * 1024 + 1024
    assert summary.blobs == f"blobs-{hashlib.sha256(tar).hexdigest()[:16]}.tar"
    assert (
        summary.rows == f"rows-{hashlib.sha256((tmp_path / 'p' / summary.rows).read_bytes()).hexdigest()[:16]}.parquet"
    )
    assert summary.size == len(tar) + (tmp_path / "p" / summary.rows).stat().st_size
    with tarfile.open(tmp_path / "p" / summary.blobs) as read:
        assert [one.name for one in read] == ["b/000000.txt", "a/000000.txt", "a/000001.txt"]
    rows = made.rows()
    assert list(rows) == ["b", "a"]
    assert [bytes_of(tmp_path, one["data"]) for one in rows["a"]["things"]] == [b"new", b"er"]
    assert rows["b"]["things"][1]["data"] is None
    assert made.ledger() == {"b": [1, 0.5], "a": [2, 0.1235]}
    entries = made.load().entries
    assert {key: (one.attempts, one.seconds, one.final) for key, one in entries.items()} == {
        "b": (1, 0.5, True),
        "a": (2, 0.1235, True),
    }
    assert made.summary() == made.load().summary == summary
    assert summary.totals == {"rows": 2}
    assert os.listdir(tmp_path / ".scratch") == []  # noqa: PTH208, names that storage does not list too


def test_compacting_again_changes_nothing_and_an_earlier_table_is_let_go(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a", b"one"), 1, 0.0)])
    first = made.compact(["a"], {}, lambda rows: {})
    before = files(tmp_path)
    assert made.compact(["a"], {}, lambda rows: {}) == first
    assert files(tmp_path) == before
    made.write_part(2, [(toy("a", b"two"), 1, 0.0)])
    second = made.compact(["a"], {}, lambda rows: {})
    assert names(tmp_path) == sorted([second.blobs, second.rows, "ledger.json", "summary.json"])
    assert second.rows != first.rows


def test_a_blob_that_has_changed_is_named_before_it_is_copied(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a", b"one", b"two"), 1, 0.0)])
    path = tmp_path / "p" / "part-000001-000000.tar"
    data = bytearray(path.read_bytes())
    data[data.index(b"two")] ^= 1
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"p/part-000001-000000\.tar: bytes at 1024 are not what was written"):
        made.compact(["a"], {}, lambda rows: {})
    assert names(tmp_path) == ["part-000001-000000.parquet", "part-000001-000000.tar"]
    assert os.listdir(tmp_path / ".scratch") == []  # noqa: PTH208, names that storage does not list too


def test_a_missing_row_is_never_passed_over(tmp_path: Path) -> None:
    made = toys(tmp_path)
    made.write_part(1, [(toy("a"), 1, 0.0)])
    with pytest.raises(AssertionError, match=r"p: rows lost: \['b', 'c', 'd', 'e', 'f'\]"):
        made.compact(["a", *"bcdefg"], {}, lambda rows: {})
    assert names(tmp_path) == ["part-000001-000000.parquet"]


def test_the_summary_counts_what_became_of_the_rows(tmp_path: Path) -> None:
    made = partition(tmp_path)
    rows = [
        Row("a", {"n": 1}),
        Row("b", {"n": 1}, partial=True),
        Row("c", status="dropped", reason="too_short"),
        Row("d", status="dropped", reason="black"),
        Row("e", status="dropped", reason="too_short"),
        Row("f", status="failed", error_class="gone"),
        Row("g", status="failed", error_class="bug"),
    ]
    summary = made.compact([one.id for one in rows], {"x": "y"}, lambda rows: {}, [(one, 1, 0.0) for one in rows])
    assert summary.counts == {"ok": 2, "dropped": 3, "failed": 2, "partial": 1}
    assert list(summary.reasons.items()) == [("black", 1), ("too_short", 2)]
    assert list(summary.errors.items()) == [("bug", 1), ("gone", 1)]
    assert summary.inputs == {"x": "y"}
    assert summary.blobs == ""
    assert summary.encode() == (tmp_path / "p" / "summary.json").read_bytes()
    assert summary.encode() == json.dumps(vars(summary), sort_keys=True, indent=1).encode()


def test_done_is_a_summary_for_these_inputs_and_no_part(tmp_path: Path) -> None:
    made = partition(tmp_path)
    assert made.summary() is None
    assert made.rows() == {}
    assert not made.is_done({"x": 1})
    made.compact(["a"], {"x": 1}, lambda rows: {}, [(row("a", 1), 1, 0.0)])
    assert made.is_done({"x": 1})
    assert not made.is_done({"x": 2})
    made.reopen(2, ["b", "a"])
    assert not made.is_done({"x": 1})
    opened = {
        key: (one.row["status"], one.attempts, one.seconds, one.final) for key, one in made.load().entries.items()
    }
    assert opened == {"a": ("open", 0, 0.0, False), "b": ("open", 0, 0.0, False)}
    assert pq.read_table(tmp_path / "p" / "part-000002-000000.parquet")["id"].to_pylist() == ["a", "b"]


def test_a_lost_ledger_costs_only_what_it_said(tmp_path: Path) -> None:
    made = partition(tmp_path)
    made.compact(["a"], {}, lambda rows: {}, [(row("a", 1), 3, 0.5)])
    (tmp_path / "p" / "ledger.json").write_text('{"a": [3, 0.5], "gone": [1, 1]}')
    assert made.load().entries["a"].attempts == 3
    (tmp_path / "p" / "ledger.json").unlink()
    assert (made.load().entries["a"].attempts, made.load().entries["a"].seconds) == (1, 0.0)


def test_what_a_killed_worker_was_writing_is_removed(tmp_path: Path) -> None:
    made = partition(tmp_path)
    made.compact([], {}, lambda rows: {})
    (tmp_path / "p" / ".tmp-1-2-summary.json").write_text("{")
    made.remove_leftovers()
    assert len(names(tmp_path)) == 3


def test_reading_rows_leaves_the_garbage_collector_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = partition(tmp_path)
    made.compact(["a"], {}, lambda rows: {}, [(row("a", 1), 1, 0.0)])
    seen: list[bool] = []
    convert = pa.Table.to_pylist

    class Table:
        def __init__(self, table: pa.Table) -> None:
            self.table = table

        def to_pylist(self) -> list[Any]:
            seen.append(gc.isenabled())
            return list(convert(self.table))

    read = pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self, **more: Table(read(self, **more)))
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            made.rows()
            assert gc.isenabled() is enabled
        finally:
            gc.enable()
    assert seen == [False, False]


@pytest.mark.parametrize(
    ("kind", "holds"),
    [
        (pa.int32(), False),
        (BLOB, True),
        (pa.list_(CLIP), False),
        (pa.list_(pa.list_(BLOB)), True),
        (pa.struct([("a", pa.int32()), ("b", pa.list_(pa.struct([("c", BLOB)])))]), True),
        (pa.struct([("blob", pa.string())]), False),
    ],
)
def test_a_table_holds_blobs_where_any_of_its_columns_can_refer_to_one(
    tmp_path: Path, kind: pa.DataType, holds: bool
) -> None:
    schema = pa.schema([*COMMON, ("value", kind)])
    assert Partition(Storage(str(tmp_path)), "p", schema).holds_blobs is holds
