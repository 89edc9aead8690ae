"""What a partition gives back: all of a row or the columns that are wanted; and one table whatever way rows came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from interlink.runtime.partition import Partition
from interlink.stage import Context, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.stages.shard import Shard, ShardSettings
from interlink.storage import Storage
from interlink.tables import COMMON, SCHEMAS
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
