"""Third-party packages, as pip leaves them on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def put_package(folder: Path, name: str, offers: Mapping[str, str], module: str, source: str) -> Path:
    """A distribution `name` 1.2 of one module, with entry points (group -> line); `folder` goes on sys.path."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in offers.items()))
    return folder
