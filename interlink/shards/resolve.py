"""From what a person names (a build, a folder, a glob, tars) to the paths of shards, in order.

Costs one or two small reads or one listing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from interlink.errors import UserError
from interlink.shards import manifest
from interlink.shards.names import MANIFEST
from interlink.storage import Storage

PACKED = re.compile(r"\.(tgz|tar\.(gz|bz2|xz|zst))$")
LOCK = "recipe.lock.json"


def resolve(path: str | Sequence[str]) -> list[str]:
    """Shard paths (absolute, or URLs) behind `path`:

    a build's root (its finished shards), a folder with MANIFEST.json (only the shards it names), a folder of tars
    (sorted), a glob or a numbered range `{000..012}`, one tar, or a list of any of these (in the list's order).
    Raises UserError where nothing is found.
    """
    if not isinstance(path, str):
        found = [shard for one in path for shard in resolve(str(one))]
        if not found:
            raise UserError("the list of shards is empty", "name a build, a folder, a glob or tars")
        return found
    numbered = re.search(r"\{(\d+)\.\.(\d+)\}", path)
    if numbered:
        first, last = numbered[1], numbered[2]
        numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
        return resolve([path[: numbered.start()] + n + path[numbered.end() :] for n in numbers])
    if re.search(r"[*?\[]", path) and not Path(path).exists():
        return _glob(path)
    if path.endswith(".tar"):
        return [_one(path)]
    if PACKED.search(path):
        raise _compressed(f"{path} is compressed")
    storage = Storage(path)
    if storage.exists(MANIFEST):  # first: next to it lies a copy of the build's lock
        return [storage.full(shard.name) for shard in manifest.load(storage, "").shards]
    if storage.exists(LOCK):
        return _of_build(storage)
    names = [name for name in storage.names() if not name.startswith(".")]  # `._x.tar` is macOS metadata
    tars = [name for name in names if name.endswith(".tar")]
    if tars:
        return [_regular(storage, name) for name in tars]
    if storage.is_local and not Path(storage.url).is_dir():
        raise UserError(f"there are no shards at {path}: no such file or folder", "check the path of the shards")
    if packed := [name for name in names if PACKED.search(name)]:
        raise _compressed(f"the shards in {storage.url} are compressed (for example {packed[0]})")
    raise UserError(
        f"there are no shards in {storage.url}: no {LOCK}, no {MANIFEST}, no *.tar",
        "name a build's root, a folder of tars, a glob, or tars",
    )


def _compressed(what: str) -> UserError:
    return UserError(what, "unpack them (gunzip, unzstd): samples are read by their place in the tar")


def _of_build(storage: Storage) -> list[str]:
    try:
        folder = json.loads(storage.read(LOCK))["shards"]
    except (ValueError, KeyError, TypeError):
        folder = None
    if not isinstance(folder, str) or not storage.exists(f"{folder}/{MANIFEST}"):
        raise UserError(
            f"the build at {storage.url} has no finished shards yet", f"finish it: interlink build --root {storage.url}"
        )
    found = [storage.full(f"{folder}/{shard.name}") for shard in manifest.load(storage, folder).shards]
    if not found:
        raise UserError(
            f"the build at {storage.url} has no documents", f"see what was dropped: interlink status {storage.url}"
        )
    return found


def _one(path: str) -> str:
    folder, _, name = path.rpartition("/")
    storage = Storage(folder or ("/" if path.startswith("/") else "."))
    if not storage.exists(name):
        raise UserError(f"there is no shard {path}", "check the path of the shards")
    return _regular(storage, name)


def _regular(storage: Storage, name: str) -> str:
    """The full name of a tar. Raises UserError for pipes and links to themselves, at which a reader would hang."""
    full = storage.full(name)
    if storage.is_local and not Path(full).is_file():
        raise UserError(f"{full} is not a regular file", "remove it, or name the tars")
    return full


def _glob(pattern: str) -> list[str]:
    if "://" in pattern and not pattern.startswith("file://"):
        scheme, _, rest = pattern.partition("://")
        bucket = rest.partition("/")[0]
        found = [f"{scheme}://{name}" for name in Storage(f"{scheme}://{bucket}").file_system().glob(pattern)]
    else:
        local = Path(pattern.removeprefix("file://")).expanduser().absolute()
        found = [str(name) for name in Path(local.anchor).glob(str(local.relative_to(local.anchor)))]
    found = sorted(name for name in found if name.endswith(".tar") and not Path(name).name.startswith("."))
    if not found:
        raise UserError(f"no *.tar matches {pattern}", "check the pattern, and quote it so that the shell leaves it")
    return found
