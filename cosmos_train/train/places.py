"""Where a run keeps its checkpoints. Light: imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LATEST = "latest"


def latest(out: Path) -> Path | None:
    """The newest whole checkpoint below a run's folder, or None."""
    folder = out / "checkpoints"
    pointer = folder / LATEST
    if pointer.is_file() and (folder / pointer.read_text().strip() / "state.json").is_file():
        return folder / pointer.read_text().strip()
    found = whole(folder)
    return found[-1] if found else None


def find(path: Path) -> Path | None:
    """The folder of the checkpoint at `path`: a checkpoint, or the latest one of a run's folder. None if there is
    none."""
    return path if (path / "state.json").is_file() else latest(path)


def whole(folder: Path) -> list[Path]:
    """The complete checkpoints by name, the newest last. A folder is renamed into place only when it is whole."""
    return sorted(found for found in folder.glob("step-*") if (found / "state.json").is_file())


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted key, value)."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
