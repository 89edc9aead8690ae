"""Checks a folder of shards against its manifest, down to the last pixel.

Reads every byte once for the sums, once by index and once through stock webdataset, and decodes every JPEG: about 2,000
images of 256 px per second and core. Needs room for one shard where the storage is remote.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlink.errors import UserError
from interlink.shards import document, manifest, tar
from interlink.shards.index import Entry, load_index, totals
from interlink.shards.names import index_name
from interlink.storage import Storage


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. key: of the sample, empty where the shard or the manifest is concerned."""

    shard: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.shard}{f' [{self.key}]' if self.key else ''}: {self.what}"


@dataclass
class Report:
    """What was checked, and what is wrong with it."""

    problems: list[Problem] = field(default_factory=list)
    shards: int = 0
    samples: int = 0
    images: int = 0
    clips: int = 0
    text_tokens: int = 0
    bytes: int = 0


def verify(storage: Storage, folder: str) -> Report:
    """Checks every shard that `folder`'s manifest names, and that the folder holds no other tar.

    Raises UserError only where there is no readable manifest; everything else becomes a Problem.
    """
    listed = manifest.load(storage, folder)
    report = Report()
    names = {shard.name for shard in listed.shards}
    for name in storage.names(folder):
        if name.endswith(".tar") and name not in names:
            report.problems.append(Problem(name, "", "is not in the manifest"))
    keys: dict[str, str] = {}
    for shard in listed.shards:
        report.shards += 1
        for problem in _shard(storage, folder, shard, report, keys):
            report.problems.append(problem)
    return report


def _shard(
    storage: Storage, folder: str, shard: manifest.Shard, report: Report, keys: dict[str, str]
) -> Iterator[Problem]:
    path = f"{folder}/{shard.name}" if folder else shard.name
    try:
        data = storage.read(index_name(path))
        with storage.local(path) as local:
            if hashlib.sha256(data).hexdigest() != shard.index.sha256:
                yield Problem(shard.name, "", "the sum of its index is not the manifest's")
            entries = load_index(data).entries
            size, digest = local.stat().st_size, _sha256(local)
            report.bytes += size
            if (size, digest) != (shard.size, shard.sha256):
                yield Problem(shard.name, "", f"size or sha256 is not the manifest's ({size} bytes, {digest[:12]}…)")
            counted = totals(entries)
            if counted != {name: getattr(shard, name) for name in counted}:
                yield Problem(shard.name, "", f"the manifest's counts are not the index's: {counted}")
            for entry in entries:
                if entry.key in keys:
                    yield Problem(shard.name, entry.key, f"the same key is in {keys[entry.key]}")
                keys[entry.key] = shard.name
            yield from _samples(local, shard.name, entries, report)
    except FileNotFoundError as error:
        yield Problem(shard.name, "", f"is missing: {error}")
    except tar.ShardError as error:
        yield Problem(shard.name, "", f"its index {error}")


def _samples(local: Path, name: str, entries: tuple[Entry, ...], report: Report) -> Iterator[Problem]:
    """Each sample by index and by webdataset, side by side; stops at the first that webdataset cannot deliver."""
    stock = _stock(local)
    storage = Storage(str(local.parent))
    for entry in entries:
        report.samples += 1
        try:
            ours = tar.parse(storage.read_range(local.name, entry.offset, entry.size))
        except (tar.ShardError, EOFError) as error:
            yield Problem(name, entry.key, f"cannot be read by index: {error}")
            continue
        yield from (Problem(name, entry.key, what) for what in check_sample(entry, ours, report))
        try:
            theirs = next(stock, None)
        except Exception as error:  # webdataset lets any exception of tarfile through
            yield Problem(name, entry.key, f"webdataset cannot read it: {type(error).__name__}: {error}")
            return
        if theirs is None:
            yield Problem(name, entry.key, "webdataset ends before it")
            return
        if theirs != (entry.key, ours):
            yield Problem(name, entry.key, f"webdataset reads another sample there: {theirs[0]!r}")
    try:
        rest = sum(1 for _ in stock)
    except Exception as error:
        yield Problem(name, "", f"webdataset cannot read it to the end: {type(error).__name__}: {error}")
        return
    if rest:
        yield Problem(name, "", f"webdataset finds {rest} samples that the index does not have")


def check_sample(entry: Entry, members: dict[str, bytes], report: Report) -> Iterator[str]:
    """What is wrong with one sample: its JSON, its images, its counts. Adds to the report's counts."""
    if "json" not in members:
        yield "has no .json"
        return
    try:
        found = document.load(members["json"])
    except ValueError as error:
        yield f"its JSON is no document: {error}"
        return
    if found.id != entry.key:
        yield f"its document says id {found.id!r}"
    if found.dump().encode() != members["json"]:
        yield "its JSON is not in canonical form"
    named = found.images()
    report.images += len(named)
    report.clips += len(found.clips)
    report.text_tokens += found.text_tokens()
    for image in named:
        if image not in members:
            yield f"image {image} is missing"
        elif (wrong := _undecodable(members[image])) is not None:
            yield f"image {image} does not decode: {wrong}"
    files = found.files()
    for file in files:
        if file not in members:
            yield f"file {file} is missing"
        elif not members[file]:
            yield f"file {file} is empty"
    for extra in sorted(set(members) - set(named) - set(files) - {"json"}):
        yield f"member {extra} is named by no segment and no clip"
    counts = (len(named), len(found.clips), found.text_tokens())
    if counts != (entry.images, entry.clips, entry.text_tokens):
        yield f"the index counts {(entry.images, entry.clips, entry.text_tokens)}, the document has {counts}"


def _undecodable(data: bytes) -> str | None:
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data)
    except ValueError as error:
        return str(error)
    return None


def _stock(local: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    try:
        import webdataset
    except ImportError as error:
        raise UserError(f"webdataset cannot be imported: {error}", "pip install webdataset") from error
    samples: Any = webdataset.WebDataset([str(local)], shardshuffle=False, empty_check=False)
    for sample in samples:
        yield sample["__key__"], {name: data for name, data in sample.items() if not name.startswith("__")}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in itertools.takewhile(bool, iter(lambda: file.read(1 << 20), None)):
            digest.update(block)
    return digest.hexdigest()
