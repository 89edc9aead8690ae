"""Reads finished partitions of a build's tables as Arrow, only the columns that are wanted.

Costs one read of a file per table and partition; no row becomes Python objects here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlink.recipe import Recipe, StageBlock
from interlink.runtime.lock import Lock
from interlink.runtime.partition import Summary
from interlink.runtime.workspace import Workspace
from interlink.storage import arrow_file

OUTCOME = ("id", "status", "reason", "error_class", "message", "partial")
_SOURCE = (*OUTCOME, "path", "video_id", "title")
CLIP = "clips.list.element"


@dataclass
class Tables:
    """The tables that a root's lock names."""

    workspace: Workspace
    recipe: Recipe
    lock: Lock

    @staticmethod
    def of(workspace: Workspace, lock: Lock) -> Tables:
        return Tables(workspace, Recipe.load(lock.recipe), lock)

    @property
    def blocks(self) -> list[StageBlock]:
        """The stages of the recipe that have a table."""
        return [block for block in self.recipe.blocks if block.name in self.lock.fingerprints]

    def block(self, name: str) -> StageBlock | None:
        return next((block for block in self.blocks if block.name == name), None)

    def folder(self, stage: str, partition: str) -> str:
        return f"tables/{stage}/{self.lock.fingerprints[stage]}/{partition}"

    def summaries(self, partition: str) -> dict[str, Summary]:
        """The commits of a partition, by stage; a stage that is not done has none."""
        found = {}
        for block in self.blocks:
            store = self.workspace.partition(block.name, self.lock.fingerprints[block.name], partition, _NO_COLUMNS)
            if (summary := store.summary()) is not None:
                found[block.name] = summary
        return found

    def source(self, partition: str, count: int) -> pa.Table:
        """The rows of collect for one partition."""
        return self.workspace.source_table(partition).select(_SOURCE).slice(0, count)

    def read(self, stage: str, partition: str, summary: Summary, columns: Sequence[str]) -> pa.Table:
        """Columns of a table, by their names in Parquet. One that an earlier version did not write is left out."""
        data = self.workspace.storage.read(f"{self.folder(stage, partition)}/{summary.rows}")
        return pq.ParquetFile(arrow_file(data), pre_buffer=False).read(columns=list(columns), use_threads=False)


_NO_COLUMNS = pa.schema([])


def elements(lists: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """The entries of a column of lists in one array, and the row that each is of."""
    return inner(lists.combine_chunks())


def inner(lists: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """The same for an array of lists."""
    if lists.null_count:
        lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0))
    else:
        lengths = np.diff(np.asarray(lists.offsets))
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten()


def numbers(array: pa.Array) -> np.ndarray:
    """Values as float64, null as NaN."""
    found: np.ndarray = array.to_numpy(zero_copy_only=False)
    return found.astype(np.float64, copy=False)


def integers(array: pa.Array, null: int = 0) -> np.ndarray:
    """Values as int64."""
    found: np.ndarray = (pc.fill_null(array, null) if array.null_count else array).to_numpy(zero_copy_only=False)
    return found.astype(np.int64, copy=False)


def strings(table: pa.Table, name: str) -> list[str]:
    """A column of texts, null as the empty one."""
    return [value or "" for value in table[name].to_pylist()]


def field_of(structs: pa.Array, name: str) -> pa.Array:
    return structs.field(name)


Positions = Mapping[str, int]
Rows = Sequence[Mapping[str, Any]]
