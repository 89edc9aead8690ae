"""MANIFEST.json: which shards make up one generation of a build, with their sums. Committed last, after every shard.

Made from the indexes alone (they hold the sums of their tars), so it costs one small read and one size per shard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError

from interlink.errors import UserError
from interlink.shards import tar
from interlink.shards.index import load_index, totals
from interlink.shards.names import MANIFEST, index_name
from interlink.storage import Storage
from interlink.tables import FORMAT_VERSION


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IndexFile(_Part):
    """The sidecar of a shard; size in bytes."""

    name: str
    size: int
    sha256: str


class Totals(_Part):
    """Sums over all shards; bytes are those of the tars."""

    shards: int = 0
    bytes: int = 0
    samples: int = 0
    images: int = 0
    clips: int = 0
    text_tokens: int = 0


class Shard(_Part):
    """One tar; size in bytes."""

    name: str
    size: int
    sha256: str
    samples: int
    images: int
    clips: int
    text_tokens: int
    index: IndexFile


class Manifest(_Part):
    """What a folder of shards holds. recipe: its name; fingerprint: of the shard stage that wrote it."""

    format_version: str
    fingerprint: str
    recipe: str
    shards: tuple[Shard, ...]
    totals: Totals

    def dump(self) -> bytes:
        """Canonical JSON: the same manifest, the same bytes."""
        return (json.dumps(self.model_dump(), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def build_manifest(
    storage: Storage, folder: str, names: Iterable[str], fingerprint: str = "", recipe: str = ""
) -> Manifest:
    """The manifest of the shards `names` in `folder`, in order of their names.

    Raises UserError where a shard or its index is missing, or the two do not belong together.
    """
    shards = tuple(_shard(storage, folder, name) for name in sorted(set(names)))
    sums = Totals(
        shards=len(shards),
        bytes=sum(s.size for s in shards),
        samples=sum(s.samples for s in shards),
        images=sum(s.images for s in shards),
        clips=sum(s.clips for s in shards),
        text_tokens=sum(s.text_tokens for s in shards),
    )
    return Manifest(format_version=FORMAT_VERSION, fingerprint=fingerprint, recipe=recipe, shards=shards, totals=sums)


def commit(storage: Storage, folder: str, manifest: Manifest) -> None:
    """Writes the manifest; call it after every shard is committed. Same content: nothing is written."""
    path, data = f"{folder}/{MANIFEST}", manifest.dump()
    if not storage.exists(path) or storage.read(path) != data:
        storage.write(path, data)


def load(storage: Storage, folder: str) -> Manifest:
    """The committed manifest. Raises UserError where there is none, or it is not ours."""
    path = f"{folder}/{MANIFEST}" if folder else MANIFEST
    try:
        data = storage.read(path)
    except FileNotFoundError:
        raise UserError(f"{storage.full(path)} does not exist", "finish the build: interlink build") from None
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{storage.full(path)} is no manifest of shards: {where}: {first['msg']}", "build the shards again"
        ) from error
    if manifest.format_version != FORMAT_VERSION:
        raise UserError(
            f"{storage.full(path)} has format version {manifest.format_version}; this program reads {FORMAT_VERSION}",
            "use the version of interlink that built it, or build it again",
        )
    return manifest


def _shard(storage: Storage, folder: str, name: str) -> Shard:
    path = f"{folder}/{name}" if folder else name
    try:
        data = storage.read(index_name(path))
        index = load_index(data)
        size = storage.size(path)
    except FileNotFoundError:
        raise UserError(
            f"shard {storage.full(path)} or its index is missing", "build it again: interlink build --fresh shard"
        ) from None
    except tar.ShardError as error:
        raise UserError(
            f"{storage.full(index_name(path))} {error}", "build it again: interlink build --fresh shard"
        ) from error
    if size != index.size:
        raise UserError(
            f"shard {storage.full(path)} has {size} bytes, its index says {index.size}",
            "build it again: interlink build --fresh shard",
        )
    return Shard(
        name=name,
        size=size,
        sha256=index.sha256,
        **totals(index.entries),
        index=IndexFile(name=index_name(name), size=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )
