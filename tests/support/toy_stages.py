"""Stages for tests of the core: they read nothing but ids, and some of them are poison."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from interlink.errors import Dropped, StageError, UserError
from interlink.settings import Settings
from interlink.stage import Blob, Context, Item, PerItem, Resources, Row
from interlink.tables import BLOB, COMMON


class ToySettings(Settings):
    journal: str = Field("", description="file that gets a line for every item processed")
    pause: float = Field(0.0, description="seconds an item takes")


class Toy(PerItem):
    """Writes two blobs and a number for every id; ids say what goes wrong."""

    name = "toy"
    version = 1
    settings_class: ClassVar[type[Settings]] = ToySettings
    schema = pa.schema(
        [*COMMON, ("value", pa.int64()), ("things", pa.list_(pa.struct([("k", pa.int32()), ("data", BLOB)])))]
    )

    def __init__(self, settings: Any, context: Context) -> None:
        self.settings = settings
        self.context = context

    @staticmethod
    def needs(settings: Any) -> tuple[str, ...]:
        return ()

    @staticmethod
    def resources(settings: Any) -> Resources:
        return Resources()

    def deadline(self, item: Item) -> float:
        return 2.0 if item.id.startswith("hang") else 60.0  # what is not meant to hang may run on a busy machine

    def process(self, item: Item) -> Row:
        if self.settings.journal:
            with Path(self.settings.journal).open("a") as journal:
                journal.write(f"{item.id}\n")
        time.sleep(self.settings.pause)
        misbehave(item.id)
        things = [{"k": k, "data": Blob(f"{item.id}:{k}".encode() * 100, ".txt")} for k in range(2)]
        return Row(item.id, {"value": len(item.id), "things": things})


class Plain(Toy):
    """The same without blobs."""

    schema = pa.schema([*COMMON, ("value", pa.int64())])

    def process(self, item: Item) -> Row:
        row = super().process(item)
        return Row(row.id, {"value": row.fields["value"]})


class IsolatedToy(Toy):
    """The same in a child process."""

    isolated = True


class Surroundings(Toy):
    """Says what an item's id names of its process's environment."""

    def process(self, item: Item) -> Row:
        return Row(item.id, {"value": 0, "things": []}, message=os.environ.get(item.id, ""))


class Inspected(Toy):
    """Its items' ids name what is to be looked at, or what it does to itself, in its own process."""

    def open(self) -> None:
        if (Path(self.context.root.url) / "refuse").exists():
            raise UserError("the model is not there", "get it")
        self.opened = True

    def process(self, item: Item) -> Row:
        message = ""
        if item.id == "pid":
            message = str(os.getpid())
        elif item.id == "opened":
            message = str(self.opened)
        elif item.id == "last-words":
            print("x" * 700 + "the end of it", file=sys.stderr, flush=True)
            os._exit(3)
        elif item.id.startswith("spawn"):
            megabytes = item.id.partition("-")[2] or "0"
            code = f"import time; b = bytearray(b'x') * (int({megabytes}) * 2**20); time.sleep(60)"
            message = str(subprocess.Popen([sys.executable, "-c", code]).pid)
            time.sleep(30 if int(megabytes) else 0)
        elif item.id == "exit":
            raise SystemExit("leaving")
        return Row(item.id, {"value": 0, "things": []}, message=message)


class GreedyToy(Toy):
    """Takes everything before it answers, last first; loses a row and breaks where ids say so."""

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        taken = list(items)
        for item in reversed(taken):
            if item.id.startswith("lost"):
                continue
            if item.id.startswith("break"):
                raise RuntimeError("the stage itself broke")
            yield self.process(item)


class StuckToy(Toy):
    """Answers three items at once, and each further one only after ten minutes."""

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        for number, item in enumerate(items):
            time.sleep(600 if number >= 3 else 0)
            yield self.process(item)


class Census(Toy):
    """Looks at the whole build: a row says how many items there are."""

    scope: ClassVar[Literal["item", "run", "build"]] = "build"  # type: ignore[assignment]

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        taken = list(items)
        for item in taken:
            yield Row(item.id, {"value": len(taken), "things": []})


def misbehave(item_id: str) -> None:
    """What the id asks for."""
    kind = item_id.split("-")[0]
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "killer":  # takes the whole worker with it
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if kind == "hang":
        time.sleep(600)
    if kind == "hungry":
        hoard = []
        while True:
            hoard.append(bytearray(b"x" * 2**24))
    if kind == "drop":
        raise Dropped("unwanted")
    if kind == "gone":
        raise StageError("gone", "it is not there")
    if kind == "flaky":
        raise StageError("network", "it never answers")
    if kind == "bug":
        raise ZeroDivisionError("a bug")
