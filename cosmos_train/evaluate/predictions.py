"""A model's answers, one line of JSON per example, written at once: an interrupted run resumes after the last line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from cosmos_train.errors import UserError

Said = dict[str, Any]  # {"said": text} or {"likelihoods": [...]} or {"left_out": reason}


class Predictions:
    """A file of answers, or with path None a dict in memory. The first line records what was asked."""

    def __init__(self, path: Path | None, asked: dict[str, Any]) -> None:
        """Raises UserError if the file holds answers to something else."""
        self.done: dict[str, Said] = {}
        self._file = None
        if path is None:
            return
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        if path.is_file() and path.stat().st_size:
            end = self._read(path, key)
            with path.open("r+b") as file:
                file.truncate(end)
            self._file = path.open("a", encoding="utf-8")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._write({"asked": asked, "key": key})

    def add(self, example: str, said: Said) -> None:
        self.done[example] = said
        if self._file is not None:
            self._write({"id": example, **said})

    def __enter__(self) -> Predictions:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, row: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def _read(self, path: Path, key: str) -> int:
        """Reads the file; returns the end of the last whole line, since a kill may have cut the one after it."""
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        try:
            rows = [json.loads(line) for line in data[:end].splitlines()]
            head = rows[0]["key"] if rows else None
            self.done = {row.pop("id"): row for row in rows[1:]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is not a file of predictions: {error}", "give another file") from error
        if head != key:
            raise UserError(
                f"{path} holds the answers of another checkpoint, task or protocol", "give another file, or delete it"
            )
        return end
