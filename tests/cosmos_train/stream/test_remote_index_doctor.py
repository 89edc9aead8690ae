"""Shards in a remote storage, sidecars, the doctor, and the watchdog."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import digest
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.doctor import diagnose
from cosmos_train.stream.health import Note, Watchdog
from cosmos_train.stream.index import identity
from cosmos_train.stream.index_command import index_shard
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
PACK = {"tokens": 96, "images": 8, "window": 10}


@pytest.fixture
def tokenizer(shards: Path) -> Tokenizer:
    return Tokenizer.train(Corpus(str(shards), ("caption",), 2).texts(), 400)


def digests(recipe: Recipe, tokenizer: Tokenizer, batches: int = 6) -> list[str]:
    stream = open_stream(recipe, tokenizer)
    return [digest(stream.next()) for _ in range(batches)]


@pytest.fixture
def memory(shards: Path) -> Iterator[str]:
    """The shards in fsspec's memory file system."""
    import fsspec

    storage = fsspec.filesystem("memory")
    for file in filter(Path.is_file, shards.iterdir()):
        storage.pipe_file(f"/bucket/shards/{file.name}", file.read_bytes())
    yield "memory://bucket/shards"
    storage.rm("/bucket", recursive=True)


@pytest.mark.parametrize("settings", [{}, {"data__pack": PACK, "data__max_tokens": 64}], ids=["plain", "packed"])
def test_remote_shards_give_the_same_batches(tiny: Tiny, tokenizer: Tokenizer, memory: str, settings: Any) -> None:
    local = digests(tiny(**settings), tokenizer)
    assert digests(tiny(data__shards=memory, data__cache_megabytes=0, **settings), tokenizer) == local


def test_remote_shards_are_scanned_where_they_have_no_index(tiny: Tiny, tokenizer: Tokenizer, memory: str) -> None:
    import fsspec

    storage = fsspec.filesystem("memory")
    for name in storage.glob("/bucket/shards/*.parquet"):
        storage.rm_file(name)
    assert digests(tiny(data__shards=memory), tokenizer) == digests(tiny(), tokenizer)


def test_a_read_that_fails_once_is_tried_again(tiny: Tiny, tokenizer: Tokenizer, memory: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    whole = digests(tiny(), tokenizer)
    failed = []
    read = MemoryFileSystem.cat_file

    def sometimes(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if path.endswith(".tar") and len(failed) < 3 and path not in failed:
            failed.append(path)
            raise OSError("reset by peer")
        return read(self, path, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryFileSystem, "cat_file", sometimes)
        assert digests(tiny(data__shards=memory), tokenizer) == whole
    assert failed


@pytest.fixture
def foreign(shards: Path, tmp_path: Path) -> Path:
    """The shards alone, without sidecars, in a folder to write to."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for tar in shards.glob("*.tar"):
        shutil.copy(tar, folder)
    return folder


def test_sidecars_say_what_the_shards_say(tiny: Tiny, tokenizer: Tokenizer, foreign: Path) -> None:
    recipe = tiny(data__shards=str(foreign), data__pack=PACK, data__max_tokens=64)
    counted = digests(recipe, tokenizer)
    before = Corpus(str(foreign), recipe.data.text, 2)
    for tar in sorted(foreign.glob("*.tar")):
        assert index_shard(str(tar), recipe.data, tokenizer).done
    after = Corpus(str(foreign), recipe.data.text, 2)
    assert after.units == before.units
    assert after.reader.clips().tolist() == [3] * 12
    known, now = after.reader.lengths(identity(tokenizer, after.text)), before.lengths(tokenizer)
    assert known is not None
    assert all(np.array_equal(getattr(known, name), getattr(now, name)) for name in ("first", "tokens", "frames"))
    assert digests(recipe, tokenizer) == counted


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_indexing_again_changes_nothing(tiny: Tiny, tokenizer: Tokenizer, foreign: Path) -> None:
    data = tiny().data
    tar = str(min(foreign.glob("*.tar")))
    first = index_shard(tar, data, tokenizer)
    files = contents(foreign)
    again = index_shard(tar, data, tokenizer)
    assert (first.done, again.done) == (True, False)
    assert (again.samples, again.clips, again.tokens) == (first.samples, first.clips, first.tokens)
    assert contents(foreign) == files


def test_indexes_of_foreign_tars_are_read_by_interlink(tiny: Tiny, tokenizer: Tokenizer, foreign: Path) -> None:
    from interlink.shards import read_index

    tar = str(min(foreign.glob("*.tar")))
    scanned = [(entry.key, entry.offset, entry.size, entry.images) for entry in read_index(tar)]
    index_shard(tar, tiny().data, None)
    indexed = read_index(tar)
    assert [(entry.key, entry.offset, entry.size, entry.images) for entry in indexed] == scanned
    assert all(entry.clips == 3 for entry in indexed)


def test_lengths_of_another_tokenizer_are_refused(tiny: Tiny, tokenizer: Tokenizer, foreign: Path) -> None:
    recipe = tiny(data__shards=str(foreign), data__pack=PACK, data__max_tokens=64)
    for tar in foreign.glob("*.tar"):
        index_shard(str(tar), recipe.data, tokenizer)
    other = Tokenizer.train(["quite other words"], 400)
    with pytest.raises(UserError, match="counted with another tokenizer"):
        open_stream(recipe, other)
    for tar in foreign.glob("*.tar"):
        assert index_shard(str(tar), recipe.data, other).done  # counted again
    open_stream(recipe, other).next()


def test_the_doctor_says_what_binds_and_how_many_workers_it_takes(shards: Path) -> None:
    (found,) = diagnose(DataSettings(shards=str(shards), image={"size": 32}), None, 1000.0, 1.0)
    assert [step.name for step in found.steps] == ["storage", "tar", "document", "decode", "augment", "tokens, collate"]
    assert found.samples == 24
    assert found.frames == 4  # two clips of two
    assert found.per_core == pytest.approx(1 / sum(step.seconds for step in found.steps))
    assert found.workers >= 1000 / found.per_core
    slowest = max(found.steps, key=lambda step: step.seconds)
    assert found.verdict.startswith(f"bottleneck: {slowest.name} (")
    assert f"data.workers={found.workers}" in found.verdict


def test_the_doctor_refuses_shards_of_which_nothing_can_be_read(make_shards: Callable[..., Path]) -> None:
    folder = make_shards(documents=3, broken=(0, 1, 2))
    with pytest.raises(UserError, match=r"none of 6 samples of data can be read: doc0-"):
        diagnose(DataSettings(shards=str(folder)), None, 1000.0, 1.0)


def test_the_watchdog_names_the_shard_that_is_being_read() -> None:
    watchdog = Watchdog(2, [["a.tar"], ["b.tar", "c.tar"]], 60)
    note = Note(watchdog.table)
    assert "no reader is reading" in watchdog.stuck().what
    note.of(1)(1)
    assert "reader 0 has been reading c.tar for 0 s" in watchdog.stuck().what
    note.done()
    assert "c.tar" not in watchdog.stuck().what


def test_a_slow_read_in_this_process_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(0, [["slow.tar"]], 0.1)
    Note(watchdog.table).of(0)(0)
    with watchdog.watching():
        time.sleep(0.4)
    assert "slow.tar" in caplog.text
    caplog.clear()
    with watchdog.watching():
        pass
    assert not caplog.text
    assert threading.active_count() < 20


@pytest.mark.processes
def test_a_stuck_reader_stops_the_run_and_names_the_shard(
    tiny: Tiny, tokenizer: Tokenizer, tmp_path: Path, shards: Path
) -> None:
    folder = tmp_path / "stuck"
    shutil.copytree(shards, folder)
    recipe = tiny(data__shards=str(folder), data__workers=1, data__stall_seconds=12)
    data = open_data(recipe.data)
    for tar in folder.glob("*.tar"):  # opening a pipe that nobody writes to waits for ever, as a dead mount does
        tar.unlink()
        os.mkfifo(tar)
    stream = open_stream(recipe, tokenizer, data)
    with pytest.raises(UserError, match=rf"no batch for 12 s: reader 0 has been reading {folder}/.*\.tar for"):
        stream.next()


def test_the_commands_print_what_they_found(shards: Path, foreign: Path) -> None:
    from typer.testing import CliRunner

    from cosmos_train.cli import app

    shown = CliRunner().invoke(app, ["doctor", str(shards), "--image-size", "32", "--seconds", "0.2"])
    assert shown.exit_code == 0, shown.output
    assert "bottleneck: " in shown.output
    assert "tokens, collate" in shown.output
    again = [CliRunner().invoke(app, ["index", "tiny_cosmo", "--set", f"data.shards={foreign}"]) for _ in range(2)]
    assert [one.exit_code for one in again] == [0, 0]
    assert again[0].output.count("clips") == len(list(foreign.glob("*.tar")))
    assert "(already indexed)" not in again[0].output
    assert again[1].output.count("(already indexed)") == len(list(foreign.glob("*.tar")))
    assert list(foreign.glob("*.index.parquet"))
