"""From what a recipe names in `data.shards` to the paths of shards: tars, and files of rows.

A release is read as its train split, in the first of `FORMATS` that it has. Datasets of the Hugging Face Hub are named
by their id, or as `hf://datasets/OWNER/NAME/…`. Costs one or two small reads or listings for each path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cosmos_train.errors import UserError
from cosmos_train.stream.rows import LINES, SUFFIXES
from interlink.shards import hub, resolve
from interlink.shards.names import MANIFEST
from interlink.shards.resolve import LOCK
from interlink.storage import Storage

# Formats of a release that the trainer reads, the most complete first.
FORMATS = ("datasets", "obelics", "nemo", "mmc4", "pairs", "videos")
RELEASE = "RELEASE.json"
_READ = (".tar", ".parquet", *LINES)


def find(paths: Sequence[str]) -> list[str]:
    """The shards behind these paths: the train split of a release, files of rows, and what `resolve` finds.

    A folder with a tar is a folder of tars: next to each, img2dataset writes a table. Raises UserError if a path has
    neither.
    """
    found: list[str] = []
    for path in paths:
        where = hub.url(path)
        with hub.explained(where):
            found += _released(where) or _rows(where) or resolve(where)
    return found


def _is_local(path: str) -> bool:
    return "://" not in path or path.startswith("file://")


def _is_folder(path: str) -> bool:
    """Whether a path can be a folder; a remote one without the ending of a file is taken for one."""
    if _is_local(path):
        return Path(path.removeprefix("file://")).expanduser().is_dir()
    return not path.endswith(_READ) and not any(mark in path for mark in "*?[{")


def _released(path: str) -> list[str]:
    """The train split of a release; nothing if the path is something else. Raises UserError if it has none to read."""
    if not _is_folder(path):
        return []
    storage = Storage(path)
    if not storage.exists(RELEASE):
        return []
    for name in FORMATS:
        if found := _train(storage, name):
            return found
    raise UserError(
        f"the release at {storage.url} has no train split in a format that is read here",
        f"formats that are read: {', '.join(FORMATS)}",
    )


def _train(storage: Storage, name: str) -> list[str]:
    """The files of a format's train split: `NAME/train-*`, or those in `NAME/train`."""
    here = [f"{name}/{one}" for one in storage.names(name) if one.startswith("train-")]
    inside = [f"{name}/train/{one}" for one in storage.names(f"{name}/train")]
    files = [path for path in (*here, *inside) if path.endswith(_READ)]
    tars = [path for path in files if path.endswith(".tar")]
    return [storage.full(path) for path in tars or files]


def _rows(path: str) -> list[str]:
    """The files of rows behind one path, sorted; none if it is something else."""
    if _is_local(path) and Path(path.removeprefix("file://")).expanduser().is_file():
        if path.endswith((*SUFFIXES, ".tar")):
            return [str(Path(path.removeprefix("file://")).expanduser().absolute())] if path.endswith(SUFFIXES) else []
        raise UserError(f"{path} is a file, and no shard", f"name a folder, a tar, or one of *{', *'.join(SUFFIXES)}")
    if _is_folder(path):
        storage = Storage(path)
        names = [name for name in storage.names() if not name.startswith(".")]
        if any(name.endswith(".tar") or name in (MANIFEST, LOCK) for name in names):
            return []
        return [storage.full(name) for name in names if name.endswith(SUFFIXES)]
    if not path.endswith(SUFFIXES):
        return []
    if not any(mark in path for mark in "*?["):
        return [] if _is_local(path) else [path]
    if _is_local(path):
        local = Path(path.removeprefix("file://")).expanduser().absolute()
        return sorted(str(one) for one in Path(local.anchor).glob(str(local.relative_to(local.anchor))))
    scheme = path.partition("://")[0]
    return sorted(f"{scheme}://{one}" for one in Storage(path).file_system().glob(path))
