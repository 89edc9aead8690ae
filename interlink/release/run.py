"""Writes a release in one pass over the committed shards: the requested formats, the card and the Croissant file.

It recomputes nothing and reads no table: a release contains what the shards contain. Costs one read of the shards, a
copy of their bytes for each format with images, and a sha256 of the output.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from interlink.errors import UserError
from interlink.release.about import About
from interlink.release.card import card
from interlink.release.croissant import FILE_NAME as CROISSANT
from interlink.release.croissant import croissant
from interlink.release.formats import Format, format_classes
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, samples
from interlink.release.statistics import THINGS, Statistics, by_frequency
from interlink.release.target import COMMIT, Target
from interlink.report.pictures import draw_document
from interlink.runtime.lock import NAME, encode
from interlink.shards import manifest
from interlink.storage import Storage

CARD = "README.md"
_PRIVATE = ("cookies", "proxy", "ydl_options")


@dataclass(frozen=True)
class Made:
    """The content of a release. formats: name -> records by split (or file); documents: by split; bytes: of all.

    notes: what the formats leave out of the build.
    """

    url: str
    formats: dict[str, dict[str, int]]
    documents: dict[str, int]
    files: int
    bytes: int
    notes: list[str]


def release(
    storage: Storage,
    lock: Mapping[str, Any],
    stages: Mapping[str, Mapping[str, Any]],
    formats: Sequence[str],
    out: str,
    settings: ReleaseSettings,
    report: Callable[[int, int], None] | None = None,
    keep: bool = False,
) -> Made:
    """Writes a release of the build in `storage` to `out`, a folder or fsspec URL that is empty or absent.

    stages: the funnel (`Status.json()["stages"]`). report: called with (documents so far, documents in all). keep: if
    `out` holds this very release (same shards, formats and settings), it stays and is described.
    Raises UserError where the build has no finished shards, the shards are damaged, or `out` is not empty.
    """
    folder = lock.get("shards") or ""
    if not folder:
        raise UserError(f"{storage.url} holds no shards", "add the stage shard to the recipe, and build")
    shards = manifest.load(storage, folder)
    if not shards.totals.samples:
        raise UserError(f"{storage.url} holds no documents", "see why: interlink status --rows")
    if not settings.name:
        settings = settings.model_copy(update={"name": shards.recipe or "dataset"})
    classes = format_classes(formats, settings)
    if keep and (made := _kept(out, shards, [cls.name for cls in classes], settings)):
        return made
    kind = lock.get("recipe", {}).get("source", {}).get("kind", "")
    about = About(settings, Statistics(settings.texts, THINGS.get(kind, "video")), stages, lock)
    try:
        return _write_release(storage, shards, classes, out, about, report)
    except OSError as error:
        raise UserError(
            f"cannot write the release: {error}",
            f"check free space and permissions of {out}; the unfinished release was removed",
        ) from error


def _write_release(
    storage: Storage,
    shards: manifest.Manifest,
    classes: Sequence[type[Format]],
    out: str,
    about: About,
    report: Callable[[int, int], None] | None,
) -> Made:
    settings, folder = about.settings, about.lock["shards"]
    with Target(out) as target:
        writers = [cls(target, settings) for cls in classes]
        for sample in samples(storage, folder, settings):
            for writer in writers:
                writer.add(sample)
            about.statistics.add(sample)
            if len(about.shown) < settings.sample_documents:
                about.shown.append((sample.key, _show(target, sample)))
            if report:
                report(about.statistics.total, shards.totals.samples)
        for writer in writers:
            writer.close()
            about.formats[writer.name] = writer.description()
        target.write(NAME, encode(public(dict(about.lock))))
        target.write(CARD, card(about).encode())
        target.write(CROISSANT, croissant(about, target.files))
        target.commit(_describe(about, shards, target))
        documents = dict(sorted(about.statistics.documents.items()))
        notes = [*_deprecated(settings), *about.notes()]
        return Made(target.storage.url, about.records, documents, target.count, target.bytes, notes)


def _kept(out: str, shards: manifest.Manifest, formats: Sequence[str], settings: ReleaseSettings) -> Made | None:
    """The release in `out`, if it is complete and equal to the wanted one."""
    storage = Storage(out)
    try:
        found = json.loads(storage.read(COMMIT))
        same = found["settings"] == settings.json_dict() and found["source"] == _origin(shards)
        if not same or set(found["formats"]) != set(formats):  # JSON sorts them
            return None
        notes = [*_deprecated(settings), *found["notes"]]
        return Made(storage.url, found["formats"], found["documents"], found["files"], found["bytes"], notes)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _deprecated(settings: ReleaseSettings) -> list[str]:
    """A sentence for each setting that another one replaces."""
    if not settings.conversation:
        return []
    name = "llava-document" if settings.conversation == "document" else "llava"
    return [f"--set conversation={settings.conversation} is deprecated: use --format {name}"]


def public(value: Any) -> Any:
    """A lock without private data, for publication.

    Paths that lead out of the folder keep only their last part. URLs lose user and password, and their host if it is in
    a private network. Cookies, proxies and options of yt-dlp are removed. Everything that shaped the bytes stays.
    """
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items() if key not in _PRIVATE}
    if isinstance(value, list):
        return [public(inner) for inner in value]
    if isinstance(value, str):
        if value.startswith(("/", "~", "../", "file:")):
            return PurePosixPath(value).name
        value = re.sub(r"(?<=://)[^/@\s]*@", "", value)
        return re.sub(r"\b(https?|wss?|ray)://(\[[0-9A-Fa-f:]+\]|[^/:\s]+)(:\d+)?", _address, value)
    return value


def _address(found: re.Match[str]) -> str:
    """The scheme, host and port of a URL; `private` for a host in a private network."""
    name = found[2].strip("[]").lower()
    try:
        seen = ipaddress.ip_address(name).is_global
    except ValueError:
        seen = "." in name and not name.endswith((".local", ".internal", ".lan", ".localdomain"))
    return found[0] if seen else f"{found[1]}://private"


def _show(target: Target, sample: Sample) -> str:
    """Writes a picture of one document for the card; returns its relative path."""
    path = f"samples/{sample.key}.png"
    images = {name: picture.data for name, picture in sample.pictures.items()}
    draw_document(sample.document.model_dump(), images, target.begin(path))
    target.finish(path)
    return path


def _describe(about: About, shards: manifest.Manifest, target: Target) -> bytes:
    """RELEASE.json: the settings, the counts, and the origin of the release."""
    statistics = about.statistics
    content = {
        "settings": about.settings.json_dict(),
        "formats": about.records,
        "notes": about.notes(),
        "documents": dict(sorted(statistics.documents.items())),
        "videos": len(statistics.videos),
        "clips": int(sum(v * n for v, n in statistics.clips_per_document.counts.items())),
        "images": statistics.images,
        "text_tokens": statistics.text_tokens,
        "licences": by_frequency(statistics.licences),
        "files": target.count,
        "bytes": target.bytes,
        "source": _origin(shards),
    }
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _origin(shards: manifest.Manifest) -> dict[str, Any]:
    return {
        "recipe": shards.recipe,
        "fingerprint": shards.fingerprint,
        "format_version": shards.format_version,
        "shards": [{"name": shard.name, "sha256": shard.sha256} for shard in shards.shards],
    }
